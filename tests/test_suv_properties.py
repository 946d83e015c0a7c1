"""SUV is right or refused, never wrong: one examination written by every vendor, whole and damaged.

The oracle (suv_oracle.py) keeps the physical truth; nothing here knows how the factor is computed.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from liverpair.dicom.suv import SuvResult, suv_factors
from pydicom.dataset import Dataset

from tests.suv_oracle import CORRUPTIONS, STYLES, Exam, an_exam, classic, enhanced, every, true_factors

#: The whole computation is exact; header times carry microseconds and Decay Factors eight digits.
RELATIVE = 1e-6
#: Beyond this a factor is wrong.
WRONG = 0.01

#: Damage that leaves a header which contradicts nothing new and states a wrong factor: only another source could tell.
#: An injection at another usual hour (⁶⁴Cu: any hour, its missing date is reported in any case); ADMIN for START and
#: the reverse without decay factors or explicit reference; the private scale's result named as unit; acquisition times
#: where a later reconstruction left no second clock.
UNTELLABLE = {
    "acquisition an hour late": {"siemens-late", "ge-late"},
    "correction ADMIN": {"philips-bqml", "canon", "toshiba"},
    "correction START": {"mediso-mbq"},
    "injection an hour early": set(STYLES),
    "injection at midnight": {"siemens", "siemens-late", "ge-plain", "ge-late", "toshiba", "uncorrected"},
    "injection in UTC unsaid": set(STYLES),
    "injection twelve hours early": set(STYLES),
    "injection twelve hours late": {"siemens", "siemens-late", "ge-plain", "ge-late", "toshiba", "uncorrected"},
    "injection two hours early": set(STYLES),
    "units BQML": {"philips"},
}


@pytest.fixture(autouse=True)
def _long_numbers() -> Iterator[None]:
    """Dose and factors are written with more digits than DS allows: pydicom warns, the header is read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def worst(result: SuvResult, truth: tuple[float, ...]) -> float:
    """The largest relative error of any slice's factor; 0 for a refusal, which states none."""
    if result.status != "ok":
        assert result.reason
        assert result.detail
        assert result.factor == ()
        return 0.0
    return max(abs(found / true - 1) for found, true in zip(result.factor, truth, strict=True))


exams = st.builds(
    Exam,
    injected=st.datetimes(datetime(1999, 1, 3), datetime(2090, 1, 1), timezones=st.just(UTC)),
    uptake_s=st.floats(31 * 60, 118 * 60),
    beds=st.lists(st.floats(60, 400), min_size=1, max_size=7).map(
        lambda durations: tuple((sum(durations[:k]) + 9.5 * k, round(t, 1)) for k, t in enumerate(durations))
    ),
    slices_per_bed=st.integers(1, 3),
    dose_bq=st.floats(3e7, 5e8),
    nuclide=st.sampled_from(["Ga-68", "F-18", "Cu-64"]),
    weight_kg=st.floats(40, 130),
    height_m=st.floats(1.5, 2.0),
    sex=st.sampled_from(["M", "F", "O"]),
    zone_minutes=st.sampled_from([-600, -300, 0, 60, 120, 330, 765]),
)


@settings(max_examples=60, deadline=None)
@given(exams, st.sampled_from(sorted(STYLES)), st.randoms(use_true_random=False))
@example(an_exam(injected=datetime(2024, 2, 29, 22, 40, tzinfo=UTC), zone_minutes=0), "siemens", random.Random(0))
@example(an_exam(injected=datetime(2023, 12, 31, 22, 55, tzinfo=UTC), zone_minutes=60), "ge-late", random.Random(1))
def test_every_vendor_writes_the_same_suv_whatever_the_clock_the_beds_and_the_order(
    exam: Exam, style: str, shuffle: random.Random
) -> None:
    """Midnight falls before the injection, between it and the scan, and between two beds."""
    datasets, truth = classic(exam, STYLES[style])
    order = list(range(len(datasets)))
    shuffle.shuffle(order)
    result = suv_factors([datasets[k] for k in order])
    expected = tuple(truth[k] for k in order)
    if len(exam.beds) == 1 and STYLES[style].frame_reference == "start" and STYLES[style].series_time == "late":
        return  # GE's only bed states a reference time of 0, which is none
    assert result.status == "ok", f"{result.reason}: {result.detail}"
    assert worst(result, expected) <= RELATIVE


@settings(max_examples=25, deadline=None)
@given(exams, st.booleans(), st.booleans())
def test_an_enhanced_object_gives_the_physics_of_every_frame(exam: Exam, shared: bool, zone: bool) -> None:
    datasets, truth = enhanced(exam, shared=shared, zone=zone)
    result = suv_factors(datasets)
    assert result.status == "ok", f"{result.reason}: {result.detail}"
    assert worst(result, truth) <= RELATIVE


@settings(max_examples=25, deadline=None)
@given(exams, st.sampled_from([-480, -60, 0, 60, 540]))
def test_an_enhanced_object_whose_injection_is_in_another_zone_than_its_frames_is_read_in_utc(
    exam: Exam, minutes: int
) -> None:
    datasets, truth = enhanced(exam)
    item = datasets[0].RadiopharmaceuticalInformationSequence[0]
    elsewhere = replace(exam, zone_minutes=minutes)
    sign = "-" if minutes < 0 else "+"
    clock = elsewhere.local(exam.injected).strftime("%Y%m%d%H%M%S.%f")
    item.RadiopharmaceuticalStartDateTime = f"{clock}{sign}{abs(minutes) // 60:02d}{abs(minutes) % 60:02d}"
    result = suv_factors(datasets)
    assert result.status == "ok", f"{result.reason}: {result.detail}"
    assert worst(result, truth) <= RELATIVE


@cache
def silent(damage: str, nuclide: str) -> tuple[str, ...]:
    """The styles in which this damage gives a wrong factor without a warning that the whole header had not."""
    exam, found = an_exam(nuclide=nuclide, slices_per_bed=1), []
    for name, style in STYLES.items():
        datasets, truth = classic(exam, style)
        usual = {warning.split(":")[0] for warning in suv_factors(datasets).warnings}
        CORRUPTIONS[damage](datasets, exam)
        result = suv_factors(datasets)
        if worst(result, truth) > WRONG and {warning.split(":")[0] for warning in result.warnings} <= usual:
            found.append(name)
    return tuple(found)


@pytest.mark.parametrize(
    "nuclide", ["Ga-68", pytest.param("F-18", marks=pytest.mark.slow), pytest.param("Cu-64", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("damage", sorted(CORRUPTIONS))
def test_one_error_in_the_header_is_never_a_wrong_suv_in_silence(damage: str, nuclide: str) -> None:
    assert set(silent(damage, nuclide)) <= UNTELLABLE.get(damage, set())


def test_of_all_single_errors_few_give_a_wrong_suv_in_silence() -> None:
    """The measure itself: silent errors stay under 2 % of all damaged headers, each of them listed above."""
    count = sum(len(silent(damage, "Ga-68")) for damage in CORRUPTIONS)
    assert 0 < count < 0.02 * len(CORRUPTIONS) * len(STYLES)


@settings(max_examples=50, deadline=None)
@given(exams, st.sampled_from(sorted(STYLES)), st.lists(st.sampled_from(sorted(CORRUPTIONS)), min_size=1, max_size=3))
def test_several_errors_at_once_never_crash_and_answer_whole(exam: Exam, style: str, damages: list[str]) -> None:
    datasets, truth = classic(exam, STYLES[style])
    for damage in damages:
        CORRUPTIONS[damage](datasets, exam)
    result = suv_factors(datasets)
    worst(result, truth)  # asserts that a refusal states its reason and no factor
    answer = result.as_json()
    assert set(answer) >= {"status", "reason", "factor", "units", "reference_time", "warnings"}
    assert len(result.factor) == (len(datasets) if result.status == "ok" else 0)


# --- single traps ------------------------------------------------------------------------------------------------


def refused(datasets: list[Dataset]) -> str:
    result = suv_factors(datasets)
    assert result.status == "refused"
    return result.reason


def test_a_refused_reference_still_shows_every_candidate() -> None:
    exam = an_exam()
    datasets, _ = classic(exam, STYLES["siemens"])
    CORRUPTIONS["series ten minutes early"](datasets, exam)
    result = suv_factors(datasets)
    assert result.reason == "reference_time_contradictory"
    assert set(result.reference_time["candidates"]) == {
        "series",
        "back_computed",
        "earliest_acquisition",
        "decay_factor",
    }


def test_an_injection_filled_with_the_scans_own_time_is_refused() -> None:
    exam = an_exam(uptake_s=10.0)
    assert refused(classic(exam, STYLES["siemens"])[0]) == "uptake_implausible"


def test_a_series_cut_short_keeps_its_suv_unless_the_earliest_bed_is_the_reference() -> None:
    exam = an_exam()
    datasets, truth = classic(exam, STYLES["siemens"])
    result = suv_factors(datasets[2:])
    assert worst(result, truth[2:]) <= RELATIVE
    assert any(w.startswith("slices_missing") for w in result.warnings)
    late = replace(STYLES["toshiba"], series_time="late")
    datasets, truth = classic(exam, late)
    assert worst(suv_factors(datasets), truth) <= RELATIVE
    assert suv_factors(datasets).status == "ok"
    assert refused(datasets[2:]) == "reference_time_unresolved"


def test_the_first_frame_of_a_dynamic_scan_starts_at_the_injection() -> None:
    exam = an_exam(uptake_s=10.0, beds=((0.0, 60.0),))
    datasets, truth = classic(exam, STYLES["standard"])
    every(datasets, SeriesType=["DYNAMIC", "IMAGE"])
    assert worst(suv_factors(datasets), truth) <= RELATIVE
    assert suv_factors(datasets).status == "ok"


def test_beds_that_state_their_own_decay_references_are_refused() -> None:
    exam = an_exam()
    datasets, _ = classic(exam, STYLES["standard"])
    for k, dataset in enumerate(datasets):
        dataset.DecayCorrectionDateTime = exam.local(exam.scan_start + timedelta(minutes=5 * k)).strftime(
            "%Y%m%d%H%M%S"
        )
    assert refused(datasets) == "series_inconsistent"


def test_a_ge_scanner_that_follows_the_standard_is_told_by_its_first_frame() -> None:
    """Frame Reference Times to the mean count, not to the frame's start: 1.3 % for gallium."""
    exam = an_exam()
    style = replace(STYLES["ge-late"], frame_reference="mean")
    datasets, truth = classic(exam, style)
    assert worst(suv_factors(datasets), truth) <= RELATIVE


def test_the_stop_of_an_injection_that_lies_before_its_start_is_reported() -> None:
    exam = an_exam()
    datasets, _ = classic(exam, STYLES["siemens"])
    local = exam.local(exam.injected)
    for minutes, reported in ((1, False), (20, False), (-30, True), (600, True)):
        stop = (local + timedelta(minutes=minutes)).strftime("%H%M%S")
        every([d.RadiopharmaceuticalInformationSequence[0] for d in datasets], RadiopharmaceuticalStopTime=stop)
        assert any(w.startswith("stop_time_differs") for w in suv_factors(datasets).warnings) is reported


def test_two_slopes_of_an_enhanced_object_that_contradict_each_other_are_refused() -> None:
    exam = an_exam()
    datasets, truth = enhanced(exam, shared=False)
    for group in datasets[0].PerFrameFunctionalGroupsSequence:
        del group.PixelValueTransformationSequence
    slopes = [
        g.RealWorldValueMappingSequence[0].RealWorldValueSlope for g in datasets[0].PerFrameFunctionalGroupsSequence
    ]
    mapped = tuple(t * s for t, s in zip(truth, slopes, strict=True))
    assert worst(suv_factors(datasets), mapped) <= RELATIVE
    assert suv_factors(datasets).status == "ok"
    datasets, _ = enhanced(exam, shared=False)
    for group in datasets[0].PerFrameFunctionalGroupsSequence:
        group.PixelValueTransformationSequence[0].RescaleSlope = 3.0
    assert refused(datasets) == "scale_contradictory"


def test_dates_at_the_end_of_time_are_refused_not_a_crash() -> None:
    exam = an_exam()
    for day in ("00010101", "99991231"):
        datasets, truth = classic(exam, STYLES["standard"])
        every(datasets, SeriesDate=day, AcquisitionDate=day, AcquisitionDateTime=None, DecayCorrectionDateTime=None)
        assert worst(suv_factors(datasets), truth) <= RELATIVE


def test_the_oracle_itself_agrees_with_numerical_integration_of_the_decay() -> None:
    """Mean activity of a frame by a million steps: the oracle's NONE factor brings it to the injection."""
    exam = an_exam(beds=((0.0, 400.0),), slices_per_bed=1)
    steps = 200_000
    elapsed = [exam.uptake_s + 400.0 * (k + 0.5) / steps for k in range(steps)]
    mean = sum(2.0 ** (-t / exam.half_life_s) for t in elapsed) / steps
    concentration = exam.dose_bq / (exam.weight_kg * 1000) * mean
    assert concentration * true_factors(exam, "NONE")[0] == pytest.approx(1.0, rel=1e-9)
