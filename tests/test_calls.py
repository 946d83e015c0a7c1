"""From lesions to verdicts, from verdicts to outcomes."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.lesion import Lesion, Measurement, Modality, Nature
from liverpair.evaluate.calls import CallSettings, choose_call, image_call, outcome


def focus(
    confidence: float,
    modality: Modality = Modality.PET,
    flags: tuple[str, ...] = (),
    nature: Nature = Nature.METASTASIS,
) -> Lesion:
    at = np.zeros(3)
    return Lesion(f"x{confidence}{flags}", modality, at, at, Measurement(), 5.0, confidence, nature, flags=flags)


@pytest.mark.parametrize(
    ("lesions", "status"),
    [
        ([], "absent"),
        ([focus(0.7)], "present"),
        ([focus(0.69)], "uncertain"),
        ([focus(0.5)], "uncertain"),
        ([focus(0.49)], "absent"),
        ([focus(0.2)], "absent"),
        ([focus(0.9, flags=("spill_in",))], "uncertain"),
        ([focus(0.9, flags=("spill_in:gallbladder",))], "uncertain"),
        ([focus(0.9, flags=("spill_in",)), focus(0.8)], "present"),
        ([focus(0.9, nature=Nature.CYST)], "absent"),
        ([focus(0.9, modality=Modality.MR)], "absent"),
        ([focus(0.9, flags=("merged",))], "present"),
    ],
)
def test_the_image_verdict_of_a_pet(lesions: list[Lesion], status: str) -> None:
    call = image_call(lesions, Modality.PET)
    assert call.status == status
    assert call.reason


def test_an_examination_that_cannot_be_judged_is_not_negative() -> None:
    call = image_call([focus(0.9)], Modality.PET, refusal="no SUV: weight missing")
    assert (call.status, call.reason) == ("not_evaluable", "no SUV: weight missing")


def test_the_mri_verdict_ignores_what_pet_shows_at_the_same_place() -> None:
    shown = focus(0.3, Modality.MR)
    matched = Lesion("m", Modality.MR, np.zeros(3), np.zeros(3), Measurement(), 5.0, 0.3, matched=("p",))
    assert image_call([shown], Modality.MR).status == image_call([matched], Modality.MR).status == "absent"


@pytest.mark.parametrize(
    ("reference", "index", "result"),
    [
        ("present", "present", "TP"),
        ("present", "absent", "FN"),
        ("absent", "present", "FP"),
        ("absent", "absent", "TN"),
        ("uncertain", "present", "indeterminate"),
        ("absent", "not_mentioned", "indeterminate"),
        ("uncertain", "not_evaluable", "not_evaluable"),
        ("", "present", "not_evaluable"),
    ],
)
def test_the_outcome_of_two_verdicts(reference: str, index: str, result: str) -> None:
    assert outcome(reference, index) == result


def test_a_consensus_overrides_and_leaves_a_trail() -> None:
    chosen = choose_call("absent", "present", "absent")
    assert (chosen.status, chosen.source, chosen.overridden) == ("absent", "consensus", ("image",))


def test_the_configured_source_speaks_and_is_never_replaced_silently() -> None:
    assert choose_call("", "present", "absent").status == "present"
    assert choose_call("", "present", "absent", "report").status == "absent"
    silent = choose_call("", "", "present", "image")
    assert (silent.status, silent.source, silent.overridden) == ("not_evaluable", "none", ("report",))


def test_words_outside_the_vocabulary_are_refused() -> None:
    for call in (lambda: outcome("positive", "absent"), lambda: choose_call("", "yes", "")):
        with pytest.raises(UsageError):
            call()
    with pytest.raises(UsageError):
        choose_call("", "present", "", source="guess")
    with pytest.raises(ConfigError):
        CallSettings(present_confidence=0.2, uncertain_confidence=0.4)
    with pytest.raises(ConfigError):
        CallSettings(index_source="both")
