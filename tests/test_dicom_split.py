"""A series falls into the stacks that each form one volume, and into no more."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.dicom.records import InstanceRecord, SeriesRecord
from liverpair.dicom.split import split


def _frame(z: float, number: int, **header: Any) -> InstanceRecord:
    facts = {
        "ImagePositionPatient": [0.0, 0.0, z],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "PixelSpacing": [1.0, 1.0],
        "Rows": 4,
        "Columns": 4,
        "InstanceNumber": number,
    }
    return InstanceRecord(f"f{number}", None, {**facts, **header})


def _series(frames: list[InstanceRecord]) -> SeriesRecord:
    return SeriesRecord("1.2", "1", "P", tuple(frames))


def _shape(frames: list[InstanceRecord]) -> list[tuple[dict[str, Any], int]]:
    return [(dict(stack.key), len(stack.instances)) for stack in split(_series(frames))]


def test_unique_positions_stay_one_stack_whatever_else_differs() -> None:
    frames = [
        _frame(
            z,
            z + 1,
            AcquisitionTime=f"12000{z % 10}",
            ImageType=["ORIGINAL", "PRIMARY", f"T{z % 3}"],
            EchoTime=float(z),
        )
        for z in range(20)
    ]
    assert _shape(frames) == [({}, 20)]


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("DiffusionBValue", [0.0, 50.0, 800.0]),
        ("EchoTime", [1.2, 2.4]),
        ("TemporalPositionIdentifier", [1, 2, 3]),
        ("TriggerTime", [0.0, 20000.0]),
        ("AcquisitionNumber", [1, 2]),
        ("AcquisitionTime", ["120000", "120100"]),
        ("FrameReferenceTime", [0.0, 60000.0]),
        ("ContrastBolusStartTime", ["120000", "120500"]),
    ],
)
def test_frames_at_one_position_are_told_apart_by_what_differs(keyword: str, values: list[Any]) -> None:
    frames = [_frame(z, 1 + z * len(values) + n, **{keyword: v}) for z in range(6) for n, v in enumerate(values)]
    assert _shape(frames) == [({keyword: value}, 6) for value in values]


def test_dixon_images_are_told_apart_by_image_type() -> None:
    kinds = ("FAT", "IN_PHASE", "OPP_PHASE", "WATER")
    frames = [
        _frame(z, 1 + n * 5 + z, ImageType=["ORIGINAL", "PRIMARY", "DIXON", kind], EchoTime=1.2 if n < 2 else 2.4)
        for n, kind in enumerate(kinds)
        for z in range(5)
    ]
    stacks = split(_series(frames))
    assert [stack.first("ImageType")[3] for stack in stacks] == list(kinds)
    assert [len(stack.instances) for stack in stacks] == [5] * 4


def test_magnitude_and_phase_and_echoes_split_twice() -> None:
    frames = [
        _frame(z, 1, ImageType=["ORIGINAL", "PRIMARY", kind], EchoTime=echo)
        for z in range(4)
        for kind in ("M", "P")
        for echo in (2.0, 4.0)
    ]
    stacks = split(_series(frames))
    assert [(stack.key["ImageType"][2], stack.key["EchoTime"]) for stack in stacks] == [
        ("M", 2.0),
        ("M", 4.0),
        ("P", 2.0),
        ("P", 4.0),
    ]


def test_an_adc_map_among_the_b_values_is_a_stack_of_its_own() -> None:
    frames = [_frame(z, 1, DiffusionBValue=b, ImageType=["DERIVED", "DIFF"]) for z in range(5) for b in (50.0, 800.0)]
    frames += [_frame(z, 90 + z, ImageType=["DERIVED", "ADC"]) for z in range(5)]
    assert [len(stack.instances) for stack in split(_series(frames))] == [5, 5, 5]


def test_a_three_plane_localizer_splits_by_orientation() -> None:
    planes = ([1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1])
    normals = ([0, 0, 1], [0, 1, 0], [-1, 0, 0])
    frames = [
        _frame(
            0.0,
            1 + n,
            ImageOrientationPatient=planes[n % 3],
            ImagePositionPatient=[5.0 * n * c for c in normals[n % 3]],
        )
        for n in range(9)
    ]
    stacks = split(_series(frames))
    assert [len(stack.instances) for stack in stacks] == [3, 3, 3]
    assert all("ImageOrientationPatient" in stack.key for stack in stacks)


def test_directions_jittering_in_the_last_digit_stay_together() -> None:
    frames = [_frame(z, z, ImageOrientationPatient=[1, 1e-5 * z, 0, 0, 1, 0]) for z in range(10)]
    assert _shape(frames) == [({}, 10)]


def test_two_phases_a_little_apart_are_two_stacks() -> None:
    frames = [_frame(5.0 * z, 1 + z, AcquisitionNumber=1) for z in range(8)]
    frames += [_frame(5.0 * z + 1.3, 20 + z, AcquisitionNumber=2) for z in range(8)]
    assert _shape(frames) == [({"AcquisitionNumber": 1}, 8), ({"AcquisitionNumber": 2}, 8)]


def test_two_beds_with_a_gap_between_stay_one_stack_for_reading_to_refuse() -> None:
    frames = [_frame(5.0 * z + 30.0 * (z > 4), 1 + z, AcquisitionNumber=1 + (z > 4)) for z in range(10)]
    assert _shape(frames) == [({}, 10)]


def test_two_stations_side_by_side_are_two_stacks() -> None:
    frames = [
        _frame(z, 1 + n * 5 + z, ImagePositionPatient=[x + 1e-7 * z, 0.0, float(z)])
        for n, x in enumerate((-12.5, 300.0))
        for z in range(5)
    ]
    assert [stack.key for stack in split(_series(frames))] == [{"InPlanePosition": (0, 0)}, {"InPlanePosition": (1, 0)}]


def test_another_matrix_is_another_stack() -> None:
    frames = [_frame(z, z) for z in range(5)] + [_frame(z, 10 + z, Rows=8) for z in range(3)]
    assert _shape(frames) == [({"Rows": 4}, 5), ({"Rows": 8}, 3)]


@pytest.mark.parametrize("slice_major", [True, False])
def test_phases_that_only_the_instance_number_tells_apart(slice_major: bool) -> None:
    frames = [
        _frame(z, 1 + (z * 3 + phase if slice_major else phase * 6 + z), Kind=phase)
        for z in range(6)
        for phase in range(3)
    ]
    random.Random(3).shuffle(frames)
    stacks = split(_series(frames))
    assert [dict(stack.key) for stack in stacks] == [{"InstanceOrder": n} for n in (1, 2, 3)]
    for phase, stack in enumerate(stacks):
        assert {frame.get("Kind") for frame in stack.instances} == {phase}


def test_a_phase_with_a_missing_slice_does_not_mix_the_others() -> None:
    frames = [_frame(z, 1 + phase * 6 + z, Kind=phase) for phase in range(3) for z in range(6)]
    del frames[8]
    stacks = split(_series(frames))
    assert [{frame.get("Kind") for frame in stack.instances} for stack in stacks] == [{0}, {1}, {2}]
    assert [len(stack.instances) for stack in stacks] == [6, 5, 6]


def test_a_trigger_time_that_runs_on_from_slice_to_slice_splits_nothing() -> None:
    frames = [
        _frame(z, 1 + phase * 8 + z, TriggerTime=float(17 * (phase * 8 + z)), Kind=phase)
        for phase in range(2)
        for z in range(8)
    ]
    stacks = split(_series(frames))
    assert [dict(stack.key) for stack in stacks] == [{"InstanceOrder": 1}, {"InstanceOrder": 2}]


def test_a_single_stray_copy_stays_where_reading_refuses_it() -> None:
    frames = [_frame(z, z + 1) for z in range(10)] + [_frame(4, 99)]
    assert _shape(frames) == [({}, 11)]


def test_objects_without_a_place_are_one_stack() -> None:
    frames = [InstanceRecord("a", None, {"Modality": "SR"}), InstanceRecord("b", None, {"Modality": "SR"})]
    assert [(dict(s.key), len(s.instances)) for s in split(_series(frames))] == [({}, 2)]


@given(st.permutations(range(18)), st.integers(0, 3))
def test_the_order_of_the_files_changes_nothing(order: list[int], kind: int) -> None:
    keyword = ("DiffusionBValue", "EchoTime", "TriggerTime", "Nothing")[kind]
    frames = [_frame(z, 1 + phase * 6 + z, **{keyword: float(phase)}) for phase in range(3) for z in range(6)]
    wanted = [sorted(f.locator for f in stack.instances) for stack in split(_series(frames))]
    shuffled = split(_series([frames[n] for n in order]))
    assert [sorted(f.locator for f in stack.instances) for stack in shuffled] == wanted


# --- what real exports do to several volumes in one series -------------------------------------------------------


def _phases_of(stacks: tuple[Any, ...]) -> list[set[int]]:
    return [{frame.get("Kind") for frame in stack.instances} for stack in stacks]


@pytest.mark.parametrize("keyword", ["TemporalPositionIdentifier", "TriggerTime", "AcquisitionNumber", "Nothing"])
def test_an_aborted_last_phase_is_a_short_stack_of_its_own(keyword: str) -> None:
    frames = [
        _frame(z, 1 + phase * 20 + z, Kind=phase, **{keyword: phase + 1 if keyword != "Nothing" else 0})
        for phase in range(4)
        for z in range(20 if phase < 3 else 3)
    ]
    stacks = split(_series(frames))
    assert _phases_of(stacks) == [{0}, {1}, {2}, {3}]
    assert [len(stack.instances) for stack in stacks] == [20, 20, 20, 3]


def test_a_repeated_slice_stays_in_its_phase_where_reading_refuses_it() -> None:
    frames = [_frame(z, 1 + p * 20 + z, TemporalPositionIdentifier=p + 1) for p in range(3) for z in range(20)]
    frames.append(_frame(7, 99, TemporalPositionIdentifier=2))
    assert [len(stack.instances) for stack in split(_series(frames))] == [20, 21, 20]


def test_odd_and_even_concatenations_do_not_halve_the_phases() -> None:
    frames = [
        _frame(
            z,
            1 + phase * 20 + z,
            Kind=phase,
            AcquisitionNumber=1 + 2 * phase + z % 2,
            AcquisitionTime=f"10{phase}{z % 2}00",
        )
        for phase in range(4)
        for z in range(20)
    ]
    assert _phases_of(split(_series(frames))) == [{0}, {1}, {2}, {3}]


def test_frames_of_an_enhanced_object_are_told_apart_by_their_dimension_index() -> None:
    frames = [
        InstanceRecord(
            "one.dcm", phase * 8 + z,
            {**_frame(z, phase * 8 + z + 1).header, "DimensionIndexValues": [1, z + 1, phase + 1], "Kind": phase},
        )
        for phase in range(3)
        for z in range(8)
    ]  # fmt: skip
    random.Random(5).shuffle(frames)
    stacks = split(_series(frames))
    assert _phases_of(stacks) == [{0}, {1}, {2}]
    assert all(list(stack.key) == ["DimensionIndex2"] for stack in stacks)


def test_equal_instance_numbers_order_nothing() -> None:
    frames = [
        InstanceRecord(f"f{phase}{z}", None, {**_frame(z, 1).header, "Kind": phase})
        for phase in range(2)
        for z in range(6)
    ]
    assert _shape(frames) == [({}, 12)]


def test_a_philips_reference_image_without_a_b_value_is_a_stack_of_its_own() -> None:
    frames = [_frame(z, 1 + z) for z in range(6)] + [_frame(z, 9 + z, DiffusionBValue=800.0) for z in range(6)]
    assert _shape(frames) == [({"DiffusionBValue": None}, 6), ({"DiffusionBValue": 800.0}, 6)]


def test_two_slabs_that_overlap_a_little_are_two_stacks() -> None:
    frames = [_frame(z, 1 + z, AcquisitionNumber=1) for z in range(20)]
    frames += [_frame(z, 1 + z, AcquisitionNumber=2) for z in range(17, 40)]
    assert [len(stack.instances) for stack in split(_series(frames))] == [20, 23]


AXES = {
    "DiffusionBValue": [0.0, 50.0, 800.0],
    "EchoTime": [1.2, 2.4],
    "ImageType": [["ORIGINAL", "PRIMARY", kind] for kind in ("M", "P", "R")],
    "TemporalPositionIdentifier": [1, 2, 3, 4],
    "TriggerTime": [0.0, 21000.0, 45000.0],
    "AcquisitionTime": ["120000", "120030", "120110"],
    "ContentTime": ["120000.5", "120030", "120110"],
    "FlipAngle": [10.0, 30.0],
}


@given(
    st.lists(st.sampled_from(sorted(AXES)), min_size=1, max_size=2, unique=True),
    st.integers(3, 9),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_any_interleaving_of_phases_b_values_and_echoes_gives_the_same_stacks(
    keywords: list[str], slices: int, shuffle: random.Random, slice_major: bool
) -> None:
    kinds: list[dict[str, Any]] = [{}]
    for keyword in keywords:
        kinds = [{**kind, keyword: value} for kind in kinds for value in AXES[keyword]]
    frames = [
        _frame(z, 1 + (z * len(kinds) + k if slice_major else k * slices + z), Kind=k, **kind)
        for k, kind in enumerate(kinds)
        for z in range(slices)
    ]
    shuffle.shuffle(frames)
    stacks = split(_series(frames))
    assert sorted(map(tuple, _phases_of(stacks))) == [(k,) for k in range(len(kinds))]
    assert {len(stack.instances) for stack in stacks} == {slices}
    places = [[f.get("ImagePositionPatient")[2] for f in stack.instances] for stack in stacks]
    assert all(sorted(p) == list(range(slices)) for p in places)
