"""The methods paragraph says what really ran, whatever method the settings name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from liverpair.flow.config import Settings
from liverpair.flow.livers import BackendSettings
from liverpair.flow.methods import methods_paragraphs
from liverpair.segment.pet_settings import PetDetectionSettings, PetMethod

RESULT = {"headline_interval": "clopper_pearson", "bootstrap_replicates": 10, "seed": 1}
RECORD = {
    "reference": {"mean": 5.0, "sd": 0.5},
    "scanner": {"fwhm_mm": 6.4, "fwhm_source": "header's filter of 4 mm", "threshold": 4.7},
    "registration": "usable",
}


def said(method: PetMethod = "noise-adaptive") -> str:
    settings = replace(Settings(), pet=PetDetectionSettings(method=method))
    return "\n".join(methods_paragraphs(settings, RESULT, {"A": RECORD}))


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("noise-adaptive", "0.02 expected false foci a liver"),
        ("noise-adaptive", "(median 4.7 (4.7–4.7) SD)"),
        ("noise-adaptive", "background-corrected fraction"),
        ("fixed-suv", "SUV ≥ 10"),
        ("percist-like", "SUV ≥ 1.5 times the liver reference's mean + 2 SD"),
        ("percent-max", "41 % of their maximum"),
        ("liver-quantile", "mean + 0.25 times their excess"),
    ],
)
def test_the_search_that_ran_is_the_one_described(method: PetMethod, words: str) -> None:
    assert words in said(method)


def test_a_method_with_a_level_claims_no_threshold_from_noise() -> None:
    assert "expected false foci" not in said("fixed-suv")


def test_the_resolution_is_named_with_its_source_and_the_breathing_assumed() -> None:
    text = said()
    assert "6.4 (6.4–6.4) mm FWHM (source: header's filter of 4 mm)" in text
    assert "for 10 mm of it" in text


def test_who_found_the_livers_is_said_as_the_settings_have_it(tmp_path: Path) -> None:
    assert "segmented on CT and MRI without learned weights" in said()
    backend = BackendSettings(ct="totalsegmentator", mr="given", masks=tmp_path)
    text = "\n".join(methods_paragraphs(replace(Settings(), backend=backend), RESULT, {"A": RECORD}))
    assert "on CT by TotalSegmentator and on MRI by masks that were given" in text
    assert "without learned weights" not in text
    assert "a mask of our own" not in text


def test_the_methods_tell_of_reports_and_of_a_size_curve_only_where_there_were_some() -> None:
    bare = "\n".join(methods_paragraphs(Settings(), RESULT, {"A": RECORD}))
    assert "Reports." not in bare
    more = {**RESULT, "sources": [{"source": "reports"}], "size_curve": {"d50_mm": 7.0}}
    told = "\n".join(methods_paragraphs(Settings(), more, {"A": RECORD}))
    assert "Medical reports in German and English were labelled" in told
    assert "logistic regression on the logarithm" in told
    assert "Obuchowski" in bare
