"""Matching of PET foci to MRI lesions: gates, stretch, one-to-one, merges, splits, registrations that failed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.lesion import Lesion, Measurement, Modality, Nature
from liverpair.evaluate.match import MatchSettings, match_lesions


def pet(name: str, at: tuple[float, float, float], diameter: float = 8.0) -> Lesion:
    place = np.array(at, dtype=float)
    return Lesion(name, Modality.PET, place, place, Measurement(diameter_mm=diameter), 8.0, 0.9)


def mr(
    name: str,
    at: tuple[float, float, float] | None,
    diameter: float = 8.0,
    uncertainty: float = 0.0,
    nature: Nature = Nature.METASTASIS,
) -> Lesion:
    place = None if at is None else np.array(at, dtype=float)
    native = np.zeros(3) if place is None else place + 100
    measured = Measurement(diameter_mm=diameter)
    return Lesion(name, Modality.MR, native, place, measured, 8.0, 0.9, nature, uncertainty_mm=uncertainty)


def partners(report) -> dict[str, tuple[str, ...]]:
    return {x.lesion_id: x.matched for x in report.lesions}


def test_the_gate_is_ten_millimetres_in_the_plane() -> None:
    assert partners(match_lesions([pet("p", (9.9, 0, 0))], [mr("m", (0, 0, 0))]))["p"] == ("m",)
    assert partners(match_lesions([pet("p", (10.1, 0, 0))], [mr("m", (0, 0, 0))]))["p"] == ()


def test_the_gate_is_stretched_cranio_caudally() -> None:
    assert partners(match_lesions([pet("p", (0, 0, 17.4))], [mr("m", (0, 0, 0))]))["m"] == ("p",)
    assert partners(match_lesions([pet("p", (0, 0, 17.6))], [mr("m", (0, 0, 0))]))["m"] == ()
    plain = MatchSettings(cranio_caudal_stretch=1.0)
    assert partners(match_lesions([pet("p", (0, 0, 10.1))], [mr("m", (0, 0, 0))], settings=plain))["m"] == ()


def test_large_lesions_and_uncertain_places_widen_the_gate() -> None:
    wide = match_lesions([pet("p", (24, 0, 0), 20)], [mr("m", (0, 0, 0), 30)])
    assert wide.links[0].gate_mm == 25
    assert wide.links[0].distance_mm == pytest.approx(24)
    unsure = match_lesions([pet("p", (13, 0, 0))], [mr("m", (0, 0, 0), uncertainty=4)])
    assert unsure.links[0].gate_mm == 14
    capped = match_lesions([pet("p", (40, 0, 0))], [mr("m", (0, 0, 0), uncertainty=99)])
    assert not capped.links


def test_matching_is_one_to_one_and_globally_best() -> None:
    report = match_lesions([pet("p1", (0, 0, 0)), pet("p2", (9, 0, 0))], [mr("m1", (5, 0, 0)), mr("m2", (14, 0, 0))])
    found = partners(report)
    assert (found["p1"], found["p2"]) == (("m1",), ("m2",))
    assert {k.kind for k in report.links} == {"one_to_one"}


def test_two_mri_lesions_under_one_pet_focus_are_a_merge_and_say_so() -> None:
    report = match_lesions([pet("p", (0, 0, 0), 24)], [mr("m1", (-3, 0, 0)), mr("m2", (9, 0, 0))])
    assert partners(report) == {"p": ("m1", "m2"), "m1": ("p",), "m2": ("p",)}
    merged = next(k for k in report.links if k.kind == "merged")
    assert "also covers m1" in merged.explanation
    assert "merged" in next(x for x in report.lesions if x.lesion_id == "m2").flags


def test_several_foci_in_one_large_mri_lesion_are_a_split() -> None:
    report = match_lesions([pet("p1", (0, 4, 0)), pet("p2", (12, 0, 0))], [mr("m", (0, 0, 0), 40)])
    assert partners(report)["m"] == ("p1", "p2")
    assert {k.kind for k in report.links} == {"one_to_one", "split"}


def test_a_small_lesion_beside_a_matched_pair_is_not_swallowed() -> None:
    report = match_lesions([pet("p", (0, 0, 0), 8)], [mr("m1", (0, 0, 0)), mr("m2", (9, 0, 0), 5)])
    assert partners(report)["m2"] == ()
    assert dict(report.unmatched)["m2"] == "nearest focus p is 9.0 mm away"


def test_a_failed_registration_never_matches() -> None:
    report = match_lesions([pet("p", (0, 0, 0), 30)], [mr("m", (0, 0, 0), 30)], verdict="failed")
    assert not report.links
    assert "no valid registration" in dict(report.unmatched)["m"]
    assert not match_lesions([pet("p", (0, 0, 0))], [mr("m", None)]).links


def test_a_rigid_registration_matches_only_lesions_of_fifteen_millimetres() -> None:
    small = match_lesions([pet("p", (0, 0, 0))], [mr("m", (0, 0, 0), 14.9)], verdict="rigid_only")
    large = match_lesions([pet("p", (0, 0, 0))], [mr("m", (0, 0, 0), 15.0)], verdict="rigid_only")
    assert not small.links
    assert "smaller than 15 mm" in dict(small.unmatched)["m"]
    assert len(large.links) == 1


def test_a_cyst_takes_a_focus_only_when_no_metastasis_wants_it() -> None:
    cyst = mr("c", (1, 0, 0), nature=Nature.CYST)
    both = match_lesions([pet("p", (0, 0, 0))], [cyst, mr("m", (6, 0, 0))])
    alone = match_lesions([pet("p", (0, 0, 0))], [cyst])
    assert partners(both)["p"] == ("m",)
    assert alone.links[0].kind == "benign_on_mr"
    assert "benign_on_mr" in alone.lesions[0].flags


def test_old_matches_are_forgotten_and_the_order_of_input_kept() -> None:
    first = match_lesions([pet("p", (0, 0, 0))], [mr("m", (0, 0, 0))])
    again = match_lesions(first.lesions[:1], [mr("x", (100, 0, 0))])
    assert again.lesions[0].matched == ()
    assert again.lesions[0].match_distance_mm is None
    assert [x.lesion_id for x in again.lesions] == ["p", "x"]


def test_the_order_of_lesions_does_not_change_the_matching() -> None:
    rng = np.random.default_rng(0)
    spots = rng.uniform(0, 120, (12, 3))
    pets = [pet(f"p{i}", tuple(s + rng.normal(0, 3, 3))) for i, s in enumerate(spots)]
    mrs = [mr(f"m{i}", tuple(s)) for i, s in enumerate(spots)]
    one, other = partners(match_lesions(pets, mrs)), partners(match_lesions(pets[::-1], mrs[::-1]))
    assert one == other
    assert all(one[f"p{i}"] == (f"m{i}",) for i in range(12))


def test_nothing_to_match_is_no_error() -> None:
    assert match_lesions([], []).links == ()
    assert match_lesions([pet("p", (0, 0, 0))], []).unmatched == (("p", "the other examination shows no focus"),)


def test_wrong_input_is_refused() -> None:
    with pytest.raises(UsageError, match="verdict"):
        match_lesions([], [], verdict="fine")
    with pytest.raises(UsageError, match="repeat"):
        match_lesions([pet("a", (0, 0, 0))], [mr("a", (0, 0, 0))])
    with pytest.raises(ConfigError):
        MatchSettings(cranio_caudal_stretch=0.5)


PLACE = st.tuples(*[st.floats(-40, 40)] * 3)
SIZE = st.floats(3, 50)


@st.composite
def pairs_of_lesions(draw: st.DrawFn) -> tuple[list[Lesion], list[Lesion]]:
    foci = [pet(f"p{n}", *draw(st.tuples(PLACE, SIZE))) for n in range(draw(st.integers(0, 6)))]
    natures = st.sampled_from([Nature.METASTASIS, Nature.METASTASIS, Nature.CYST])
    found = [
        mr(f"m{n}", draw(PLACE), draw(SIZE), draw(st.floats(0, 20)), draw(natures))
        for n in range(draw(st.integers(0, 6)))
    ]
    return foci, found


@given(pairs_of_lesions())
@hypothesis_settings(max_examples=150, deadline=None)
def test_every_lesion_is_linked_or_has_a_reason_and_links_are_one_to_one_within_their_gates(
    lesions: tuple[list[Lesion], list[Lesion]],
) -> None:
    foci, found = lesions
    report = match_lesions(foci, found)
    linked = {k.pet_id for k in report.links} | {k.mr_id for k in report.links}
    alone = dict(report.unmatched)
    assert linked | set(alone) == {x.lesion_id for x in (*foci, *found)}
    assert not linked & set(alone)
    assert all(alone.values())
    single = [k for k in report.links if k.kind in ("one_to_one", "benign_on_mr")]
    assert len({k.pet_id for k in single}) == len({k.mr_id for k in single}) == len(single)
    for link in report.links:
        assert link.explanation
        assert link.distance_mm <= link.gate_mm * MatchSettings().cranio_caudal_stretch + 1e-9
    extra = [k for k in report.links if k.kind in ("merged", "split")]
    partners_of = {k.pet_id for k in single} | {k.mr_id for k in single}
    for link in extra:  # a merge hangs on a matched focus, a split on a matched lesion
        assert (link.pet_id if link.kind == "merged" else link.mr_id) in partners_of


@given(pairs_of_lesions(), st.floats(0, 6.28), PLACE)
@hypothesis_settings(max_examples=80, deadline=None)
def test_turning_about_the_patients_axis_and_moving_changes_no_match(
    lesions: tuple[list[Lesion], list[Lesion]], angle: float, move: tuple[float, float, float]
) -> None:
    foci, found = lesions
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])

    def moved(x: Lesion) -> Lesion:
        assert x.centre_lps is not None
        place = turn @ x.centre_lps + np.array(move)
        return replace(x, centre_lps=place, native_lps=place)

    before, after = match_lesions(foci, found), match_lesions([moved(x) for x in foci], [moved(x) for x in found])
    gap = min((abs(k.distance_mm - k.gate_mm) for k in before.links), default=1.0)
    if gap > 1e-6:  # at the gate itself the last digit decides
        assert len(before.links) == len(after.links)
        assert sum(k.distance_mm for k in before.links) == pytest.approx(
            sum(k.distance_mm for k in after.links), rel=1e-6
        )


@given(pairs_of_lesions(), st.sampled_from(["failed", "rigid_only"]))
@hypothesis_settings(max_examples=60, deadline=None)
def test_without_a_full_registration_no_small_lesion_is_ever_matched(
    lesions: tuple[list[Lesion], list[Lesion]], verdict: str
) -> None:
    foci, found = lesions
    sizes = {m.lesion_id: m.measurement.diameter_mm or 0.0 for m in found}
    for link in match_lesions(foci, found, verdict).links:
        assert verdict == "rigid_only"
        assert sizes[link.mr_id] >= 15
