"""Tests of the second search, by another correction of the shading: which of its masks count as bounded by edges."""

from __future__ import annotations

import pytest
from liverpair.segment.liver import _bounded
from liverpair.segment.liver_quality import DOUBT, Judgement

SHARP = {"shell_alike": 0.007, "agreement_loose": 0.958, "agreement_tight": 0.866}


def judged(*reasons: str, **facts: float) -> Judgement:
    return Judgement("failed", reasons, SHARP | facts)


def test_a_nodular_liver_with_a_border_all_around_is_bounded_though_a_stricter_search_loses_its_nodules() -> None:
    assert _bounded(judged("unstable", DOUBT))
    assert _bounded(judged("unstable", "fov_truncated"))


@pytest.mark.parametrize(
    "facts",
    [{"shell_alike": 0.06}, {"agreement_loose": 0.85}, {"agreement_tight": 0.7}],
    ids=["no border", "a laxer search finds more", "a stricter one finds another organ"],
)
def test_what_has_no_border_or_changes_much_is_not_bounded(facts: dict[str, float]) -> None:
    assert not _bounded(judged("unstable", DOUBT, **facts))


@pytest.mark.parametrize("reason", ["no_border", "too_small", "reaches_the_far_end", "not_right_sided"])
def test_any_other_reason_against_a_mask_stands(reason: str) -> None:
    assert not _bounded(Judgement("failed", ("unstable", reason), {}))
