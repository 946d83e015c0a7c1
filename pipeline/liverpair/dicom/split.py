"""Split a series into stacks that each form one volume: one orientation, phase, b-value, echo, image type."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import GeometryRefusal
from liverpair.dicom.geometry import MISSING_SLICE_FACTOR, SAME_POSITION_MM, has_plane, orientation, slice_normal
from liverpair.dicom.records import InstanceRecord, SeriesRecord, Stack

__all__ = ["split"]

Frames = Sequence[InstanceRecord]

#: Frames whose axes differ by less than this (0.3°) are parallel; localizers differ by 90°, double obliques
#: by degrees.
PARALLEL_TOLERANCE: Final = 0.005
#: Two fields of view lie centimetres apart in their plane; drift from slice to slice and rounding stay below.
IN_PLANE_GAP_MM: Final = 5.0
#: An attribute tells phases apart when its values each occur at most of the positions: first one is looked for whose
#: values reach nearly everywhere, as half of them is also what the concatenations of one volume (odd and even slices)
#: reach; one that changes from slice to slice (Trigger Time of a 2D acquisition) never does.
FULL_COVERAGE: Final = 0.8
MIN_COVERAGE: Final = 0.5
#: What may tell frames at one position apart, the most telling first.
DISTINGUISHING: Final = (
    "ImageType",
    "ComplexImageComponent",
    "DiffusionBValue",
    "DiffusionDirectionality",
    "DiffusionGradientOrientation",
    "EchoTime",
    "EchoNumbers",
    "InversionTime",
    "FlipAngle",
    "TemporalPositionIdentifier",
    "FrameReferenceTime",
    "TimeSliceVector",
    "TriggerTime",
    "AcquisitionNumber",
    "ContrastBolusStartTime",
    "ContrastBolusAgent",
    "StackID",
    "ConvolutionKernel",
    "ReconstructionMethod",
    "CorrectedImage",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "RepetitionTime",
    "SequenceName",
    "ContentTime",
    "SeriesTime",
)
#: Keys of a stack that are no DICOM keywords.
IN_PLANE_KEY: Final = "InPlanePosition"
ORDER_KEY: Final = "InstanceOrder"
#: One component of Dimension Index Values (PS3.3 C.7.6.17), whose meaning only the object's own organization tells.
DIMENSION_KEY: Final = "DimensionIndex"


def _plain(value: Any) -> Any:
    """A header value as something that can key a dictionary; numbers rounded to what headers keep."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    return value


def _rank(value: Any) -> tuple[Any, ...]:
    """Order for values of any kind: absent first, then numbers, then text, then lists."""
    if value is None:
        return (0,)
    if isinstance(value, (int, float)):
        return (1, value)
    if isinstance(value, tuple):
        return (3, tuple(_rank(part) for part in value))
    return (2, str(value))


def _grouped(frames: Frames, key: Callable[[InstanceRecord], Hashable]) -> dict[Any, list[InstanceRecord]]:
    groups: dict[Any, list[InstanceRecord]] = {}
    for frame in frames:
        groups.setdefault(key(frame), []).append(frame)
    return {value: groups[value] for value in sorted(groups, key=_rank)}


def _places(frames: Frames) -> dict[int, int]:
    """The number of the place along the normal of each frame (keyed by id), places in ascending order."""
    normal = slice_normal(orientation(frames[0]))
    distance = np.array([np.dot(frame.get("ImagePositionPatient"), normal) for frame in frames])
    order = np.argsort(distance, kind="stable")
    number = np.zeros(len(frames), dtype=np.int64)
    number[order[1:]] = np.cumsum(np.diff(distance[order]) >= SAME_POSITION_MM)
    return {id(frame): int(place) for frame, place in zip(frames, number, strict=True)}


def _by_layout(frames: Frames) -> list[tuple[dict[str, Any], list[InstanceRecord]]]:
    """Groups of parallel frames of one matrix, pixel size and frame of reference."""
    layouts = _grouped(
        frames,
        lambda f: tuple(_plain(f.get(word)) for word in ("FrameOfReferenceUID", "Rows", "Columns", "PixelSpacing")),
    )
    groups: list[tuple[Any, NDArray[np.float64], list[InstanceRecord]]] = []
    for layout, members in layouts.items():
        for frame in members:
            axes = orientation(frame)
            for known, direction, group in groups:
                if known == layout and np.abs(direction - axes).max() <= PARALLEL_TOLERANCE:
                    group.append(frame)
                    break
            else:
                groups.append((layout, axes, [frame]))
    result = []
    for layout, axes, group in groups:
        key: dict[str, Any] = {}
        if any(np.abs(direction - axes).max() > PARALLEL_TOLERANCE for _, direction, _ in groups):
            key["ImageOrientationPatient"] = [round(float(c), 4) for c in axes.ravel()]
        for word, column in (("FrameOfReferenceUID", 0), ("Rows", 1), ("Columns", 2), ("PixelSpacing", 3)):
            if any(other[column] != layout[column] for other, _, _ in groups):
                key[word] = layout[column]
        result.append((key, group))
    return result


def _in_plane(frames: Frames) -> dict[int, tuple[int, int]]:
    """The field of view of each frame (keyed by id) along (i, j): frames closer than a gap share one."""
    along = np.array([orientation(f) @ np.asarray(f.get("ImagePositionPatient"), dtype=np.float64) for f in frames])
    fields = np.zeros(along.shape, dtype=np.int64)
    for axis in range(2):
        order = np.argsort(along[:, axis], kind="stable")
        gaps = np.diff(along[order, axis]) > IN_PLANE_GAP_MM
        fields[order[1:], axis] = np.cumsum(gaps)
    return {id(frame): (int(i), int(j)) for frame, (i, j) in zip(frames, fields, strict=True)}


def _values(frames: Frames, word: str) -> Callable[[InstanceRecord], Hashable]:
    """What ``word`` says of each of the frames."""
    if word == IN_PLANE_KEY:
        fields = _in_plane(frames)
        return lambda frame: fields[id(frame)]
    if word.startswith(DIMENSION_KEY):
        number = int(word.removeprefix(DIMENSION_KEY))
        return lambda frame: _component(frame.get("DimensionIndexValues"), number)
    return lambda frame: _plain(frame.get(word))


def _component(values: Any, number: int) -> Hashable:
    return values[number] if isinstance(values, (list, tuple)) and number < len(values) else None


def _words(frames: Frames) -> tuple[str, ...]:
    """What may tell these frames apart, the most telling first; the dimensions of enhanced objects last."""
    most = max((len(f.get("DimensionIndexValues") or ()) for f in frames if f.frame is not None), default=0)
    return (IN_PLANE_KEY, *DISTINGUISHING, *(f"{DIMENSION_KEY}{number}" for number in range(most)))


def _separates(groups: dict[Any, list[InstanceRecord]], place: dict[int, int], least: float) -> bool:
    """Whether the groups lie over each other (same places, different values), reaching ``least`` of the places each."""
    n_places = len(set(place.values()))
    covered = [{place[id(frame)] for frame in group} for group in groups.values()]
    overlap = sum(len(places) for places in covered) > n_places
    return len(groups) > 1 and overlap and float(np.mean([len(p) for p in covered])) >= least * n_places


def _distances(frames: Frames) -> NDArray[np.float64]:
    """Where the frames lie along their normal in mm, ascending."""
    normal = slice_normal(orientation(frames[0]))
    return np.sort([float(np.dot(frame.get("ImagePositionPatient"), normal)) for frame in frames])


def _is_even(frames: Frames) -> bool:
    """Whether the frames follow each other without a hole (few frames always do)."""
    steps = np.diff(_distances(frames))
    return len(steps) < 2 or bool(steps.max() <= MISSING_SLICE_FACTOR * np.median(steps))


def _interleaves(groups: dict[Any, list[InstanceRecord]]) -> bool:
    """Whether the groups are even stacks, each reaching into another's range, as two phases a few mm apart do."""
    if len(groups) < 2 or any(len(group) < 3 or not _is_even(group) for group in groups.values()):
        return False
    ranges = sorted((float(d[0]), float(d[-1])) for d in map(_distances, groups.values()))
    return any(following[0] < current[1] for current, following in pairwise(ranges))


def _number(frame: InstanceRecord) -> tuple[int, int, str]:
    return (frame.get("InstanceNumber") or 0, frame.frame or 0, frame.locator)


def _by_instance_order(frames: Frames, place: dict[int, int]) -> list[list[InstanceRecord]]:
    """Phases that only Instance Number tells apart; a single group where even that does not.

    Phase after phase (slices 1…n, then 1…n again) survives a missing slice and an aborted last phase; slice after
    slice (all phases of slice 1, then of slice 2) needs every phase at every slice.
    """
    at: dict[int, list[InstanceRecord]] = {}
    for frame in frames:
        at.setdefault(place[id(frame)], []).append(frame)
    if any(len({_number(f)[:2] for f in here}) < len(here) and here[0].frame is None for here in at.values()):
        return [list(frames)]  # numbers that repeat at one place order nothing
    most = max(map(len, at.values()))
    numbered = sorted(frames, key=_number)
    phases = _runs(numbered, place)
    complete = sum(len(phase) >= MIN_COVERAGE * len(at) for phase in phases)
    if len(phases) == most and complete >= max(2, most - 1) and len(phases[0]) >= MIN_COVERAGE * len(at):
        return phases
    if {len(here) for here in at.values()} != {most}:
        return [list(frames)]
    ranks: dict[int, int] = {}
    phases = [[] for _ in range(most)]
    for frame in numbered:
        rank = ranks.get(place[id(frame)], 0)
        phases[rank].append(frame)
        ranks[place[id(frame)]] = rank + 1
    return phases


def _runs(numbered: Frames, place: dict[int, int]) -> list[list[InstanceRecord]]:
    """The frames in their order, cut wherever a place repeats."""
    phases: list[list[InstanceRecord]] = [[]]
    used: set[int] = set()
    for frame in numbered:
        if place[id(frame)] in used:
            phases.append([])
            used = set()
        used.add(place[id(frame)])
        phases[-1].append(frame)
    return phases


Parts = list[tuple[dict[str, Any], list[InstanceRecord]]]


def _separated(frames: Frames, words: Sequence[str]) -> Parts:
    """Stacks of parallel frames, split until no place repeats or nothing tells the frames apart."""
    place = _places(frames)
    unique = len(set(place.values())) == len(frames)
    if unique and _is_even(frames):
        return [({}, list(frames))]
    if unique:
        return _split_by(frames, words, _interleaves) or [({}, list(frames))]
    by_attribute = _split_by(frames, words, lambda groups: _separates(groups, place, FULL_COVERAGE))
    if by_attribute is not None:
        return by_attribute
    phases = _by_instance_order(frames, place)
    if len(phases) > 1:
        return [({ORDER_KEY: number}, phase) for number, phase in enumerate(phases, start=1)]
    parts = _split_by(frames, words, lambda groups: _separates(groups, place, MIN_COVERAGE))
    return parts or [({}, list(frames))]


def _split_by(
    frames: Frames, words: Sequence[str], tells: Callable[[dict[Any, list[InstanceRecord]]], bool]
) -> Parts | None:
    """The stacks by the first attribute that tells the frames apart, each split further by those after it."""
    for position, word in enumerate(words):
        groups = _grouped(frames, _values(frames, word))
        if tells(groups):
            rest = words[position + 1 :]
            return [
                ({word: value} | key, stack)
                for value, group in groups.items()
                for key, stack in _separated(group, rest)
            ]
    return None


def split(series: SeriesRecord) -> tuple[Stack, ...]:
    """The stacks of a series in a stable order.

    Frames of different orientation, matrix, pixel size or frame of reference never share a stack. Beyond that a
    series is split only where the same position occurs more than once (or two even stacks interleave), by what
    differs between the frames there (``DISTINGUISHING``, in that order), and at last by Instance Number order (key
    ``InstanceOrder``). The order in which the frames come changes nothing. A series without positions (reports,
    structure sets, screenshots) is one stack. Copies that nothing tells apart stay in one stack, which
    ``read_stack`` then refuses.
    """
    placed = sorted((frame for frame in series.instances if has_plane(frame)), key=_number)
    if not placed:
        return (Stack(series, {}, series.instances),)
    try:
        layouts = _by_layout(placed)
    except GeometryRefusal:
        return (Stack(series, {}, series.instances),)
    stacks = []
    for layout, group in layouts:
        for key, frames in _separated(group, _words(group)):
            stacks.append(Stack(series, layout | key, tuple(frames)))
    unplaced = tuple(frame for frame in series.instances if not has_plane(frame))
    if unplaced:
        stacks.append(Stack(series, {"ImagePositionPatient": None}, unplaced))
    return tuple(stacks)
