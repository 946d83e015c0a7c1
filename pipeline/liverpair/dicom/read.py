"""Read one stack's pixels into a volume: decoded, rescaled slice by slice, on the grid its positions give."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from liverpair.core.errors import GeometryRefusal, Refusal
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.dicom.frames import frame_datasets, is_enhanced
from liverpair.dicom.geometry import StackGeometry, stack_geometry
from liverpair.dicom.objects import read_object
from liverpair.dicom.pixels import LOSSY_SYNTAXES, decode
from liverpair.dicom.plain import finite_number
from liverpair.dicom.records import InstanceRecord, Stack
from liverpair.dicom.sources import open_source

__all__ = ["read_headers", "read_stack", "stack_order", "stack_unit", "stack_warnings"]

#: Header words by which scanners name apparent diffusion coefficient maps.
ADC_WORDS: Final = re.compile(r"(?<![a-z])(e?adc|apparent diffusion|diffusionskoeffizient)(?![a-z])", re.IGNORECASE)
PET_UNITS: Final = {"BQML": Unit.BECQUEREL_PER_ML, "CNTS": Unit.COUNTS}


def stack_order(stack: Stack) -> tuple[InstanceRecord, ...]:
    """The frames sorted along the slice normal (row × column): slice k of ``read_stack`` is frame k.

    Raises GeometryRefusal like ``read_stack``.
    """
    return tuple(stack.instances[k] for k in stack_geometry(stack.instances).order)


def stack_unit(stack: Stack) -> Unit:
    """The unit of the rescaled values as the header states it; ARBITRARY where it does not."""
    modality = stack.first("Modality")
    if modality == "CT":
        return Unit.HOUNSFIELD if stack.first("RescaleType", "HU") == "HU" else Unit.ARBITRARY
    if modality == "PT":
        if stack.first("Units") == "GML" and stack.first("SUVType", "BW") == "BW":
            return Unit.SUVBW
        return PET_UNITS.get(stack.first("Units", ""), Unit.ARBITRARY)
    if modality == "MR":
        words = [
            *stack.first("ImageType", ()),
            stack.first("SeriesDescription", ""),
            stack.first("SequenceName", ""),
        ]
        if any(ADC_WORDS.search(str(word)) for word in words):
            return Unit.DIFFUSIVITY
    return Unit.ARBITRARY


def stack_warnings(stack: Stack) -> tuple[str, ...]:
    """What a reader of the stack's values must know, as sentences: so far, lossy compression (PS3.3 C.7.6.1.1.5).

    Lossy compression is stated by the header ("01" stays with an image for ever, also once it is stored plainly
    again) or by the transfer syntax.
    """
    stated = {str(record.get("LossyImageCompression", "")) for record in stack.instances}
    syntaxes = {str(record.get("TransferSyntaxUID", "")) for record in stack.instances}
    if "01" not in stated and not syntaxes & set(LOSSY_SYNTAXES):
        return ()
    ratio = stack.first("LossyImageCompressionRatio")
    ratios = [str(value) for value in ratio] if isinstance(ratio, (list, tuple)) else [str(ratio)] if ratio else []
    how = f", ratio {' and '.join(ratios)}" if ratios else ""
    return (f"the images were compressed with loss{how}: values and small lesions may have changed",)


def _datasets(records: Sequence[InstanceRecord], *, pixels: bool) -> Iterator[tuple[int, Dataset, int]]:
    """(position in ``records``, the whole object, frame) with each file opened once."""
    by_file: dict[str, list[int]] = {}
    for position, record in enumerate(records):
        by_file.setdefault(record.locator, []).append(position)
    for locator, positions in by_file.items():
        with open_source(locator) as stream:
            dataset = read_object(stream, pixels=pixels)
        for position in positions:
            yield position, dataset, records[position].frame or 0


def _frames(dataset: Dataset) -> list[Dataset]:
    try:
        return frame_datasets(dataset)
    except Exception as error:  # pydicom raises whatever damaged bytes provoke
        raise Refusal(
            "unreadable_header", f"the functional groups cannot be decoded ({type(error).__name__}); export it again"
        ) from error


def read_headers(stack: Stack) -> list[Dataset]:
    """The complete headers (private attributes too, no pixels) in the order of ``stack_order``.

    Frames of enhanced objects come flattened to classic keywords, one data set per frame.
    """
    records = stack_order(stack)
    headers: list[Dataset] = [Dataset()] * len(records)
    flattened: dict[int, list[Dataset]] = {}
    for position, dataset, frame in _datasets(records, pixels=False):
        if records[position].frame is None or not is_enhanced(dataset):
            headers[position] = dataset
            continue
        if id(dataset) not in flattened:
            flattened = {id(dataset): _frames(dataset)}
        if frame >= len(flattened[id(dataset)]):
            raise Refusal("bad_pixels", "the object holds fewer frames than the index knows of; index it again")
        headers[position] = flattened[id(dataset)][frame]
    return headers


def _rescale(record: InstanceRecord) -> tuple[float, float]:
    slope, intercept = (
        finite_number(record.get("RescaleSlope", 1.0)),
        finite_number(record.get("RescaleIntercept", 0.0)),
    )
    if slope is None or intercept is None:
        raise Refusal("bad_rescale", "Rescale Slope or Intercept is no number; export the series again")
    if slope == 0:
        raise Refusal("bad_rescale", "Rescale Slope is 0, which would erase the image; export the series again")
    return slope, intercept


def _refuse_other_frames(record: InstanceRecord, frames: NDArray[Any], shape: tuple[int, int]) -> None:
    """Refuse pixels that are not those the index knows of: another matrix, or frames nobody gave a place."""
    if record.frame is None and len(frames) > 1:
        raise Refusal(
            "unplaced_frames",
            f"the object holds {len(frames)} frames and the index knows of one; its header gives them no places",
        )
    if (record.frame or 0) >= len(frames) or frames.shape[1:] != shape:
        raise Refusal("bad_pixels", "the pixels do not fit Rows, Columns and Number of Frames; export it again")


def _refuse_endless(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values, if all of them are finite numbers that single precision can hold."""
    if not np.isfinite(values).all():
        raise Refusal(
            "bad_values", "the image holds values that are no finite numbers (pixels or rescale); export it again"
        )
    return values


def _refuse_unscaled(record: InstanceRecord) -> None:
    """Refuse a quantity whose stored numbers have no scale: PET requires a Rescale Slope (PS3.3 C.8.9.4)."""
    if record.get("RescaleSlope") is None and not record.get("RealWorldValueMappingSequence"):
        raise Refusal(
            "slope_missing",
            "a slice has neither Rescale Slope (0028,1053) nor a real-world value mapping; what its stored values mean "
            "is not known. Export the series again",
        )


def _slices(records: Sequence[InstanceRecord], factors: Sequence[float] | None) -> NDArray[np.float32]:
    """Rescaled pixels [column, row, slice] of the frames in their order."""
    columns, rows = (int(finite_number(records[0].get(word)) or 0) for word in ("Columns", "Rows"))
    values: NDArray[np.float32] | None = None
    decoded: dict[int, NDArray[Any]] = {}
    for position, dataset, frame in _datasets(records, pixels=True):
        if id(dataset) not in decoded:
            decoded = {id(dataset): decode(dataset)}
        frames = decoded[id(dataset)]
        _refuse_other_frames(records[position], frames, (rows, columns))
        if values is None:
            values = np.empty((columns, rows, len(records)), dtype=np.float32)
        slope, intercept = _rescale(records[position])
        if factors is not None:
            _refuse_unscaled(records[position])
        factor = 1.0 if factors is None else float(factors[position])
        with np.errstate(over="ignore", invalid="ignore"):  # refused below
            rescaled = frames[frame].T.astype(np.float64) * (slope * factor) + intercept * factor
            values[:, :, position] = rescaled.astype(np.float32)
    if values is None:
        raise GeometryRefusal("empty_stack", "the stack has no frame")
    return _refuse_endless(values)


def _even_slices(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Slices at regular places by linear interpolation between the two neighbours."""
    wanted = np.arange(values.shape[2], dtype=np.float64)
    low = np.clip(np.searchsorted(places, wanted, side="right") - 1, 0, len(places) - 2)
    weight = np.clip((wanted - places[low]) / (places[low + 1] - places[low]), 0, 1).astype(np.float32)
    return np.asarray(values[:, :, low] * (1 - weight) + values[:, :, low + 1] * weight)


def _straightened(
    values: NDArray[np.float32], geometry: StackGeometry
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """The sheared stack on an upright grid that holds all of it, and that grid's affine.

    Each slice is moved within its plane by linear interpolation; where no slice reaches, the volume's least
    value stands (air in CT).
    """
    drift = geometry.shift[None, :] * geometry.places[:, None]
    start = np.floor(drift.min(axis=0)).astype(int)
    stop = np.ceil(drift.max(axis=0)).astype(int) + np.array(values.shape[:2])
    background = np.float32(values.min())
    upright = np.full((*(stop - start), values.shape[2]), background, dtype=np.float32)
    for k in range(values.shape[2]):
        moved = values[:, :, k]
        offset = drift[k] - start
        for axis in range(2):
            whole, part = int(np.floor(offset[axis])), np.float32(offset[axis] - np.floor(offset[axis]))
            room = upright.shape[axis] - values.shape[axis] - whole
            padding = [(0, 0), (0, 0)]
            padding[axis] = (whole + 1, max(room, 0))
            padded = np.pad(moved, padding, constant_values=background)
            here, before = (np.arange(1, upright.shape[axis] + 1), np.arange(upright.shape[axis]))
            moved = np.take(padded, here, axis) * (1 - part) + np.take(padded, before, axis) * part
        upright[:, :, k] = moved
    affine = geometry.affine.copy()
    affine[:3, 3] += affine[:3, :2] @ start
    return upright, affine


def _refuse_incomplete(stack: Stack) -> None:
    """Refuse a concatenation (PS3.3 C.7.6.16.2.2.4) that says how many parts it has, of which some are not here."""
    parts: dict[str, set[int]] = {}
    totals: dict[str, int] = {}
    for record in stack.series.instances:
        uid, total = str(record.get("ConcatenationUID", "")), finite_number(record.get("InConcatenationTotalNumber"))
        if uid and total:
            parts.setdefault(uid, set()).add(int(finite_number(record.get("InConcatenationNumber")) or 0))
            totals[uid] = int(total)
    for uid, seen in parts.items():
        if len(seen) < totals[uid]:
            raise GeometryRefusal(
                "missing_slice",
                f"{totals[uid] - len(seen)} of the {totals[uid]} objects that hold this image's frames are not here; "
                "fetch them from the archive",
            )


def read_stack(stack: Stack, factors: Sequence[float] | None = None, unit: Unit | None = None) -> Volume:
    """The volume of a stack: values [i, j, k] = [column, row, slice along row × column], float32.

    Every slice gets its own Rescale Slope and Intercept. ``factors``, one per frame in ``stack_order``,
    multiply the rescaled values before anything is interpolated (per-slice SUV factors); ``unit`` then says
    what results. Philips' private MR scale factors (2005,100E) are left alone: they only matter between
    series. Padding values stay as stored, and MONOCHROME1 only says how to display, so values are not
    inverted. Uneven steps and a tilted gantry (CT) are resampled linearly.

    Raises GeometryRefusal (see ``stack_geometry``, and sheared_stack) and Refusal: unreadable_file,
    no_decoder, undecodable_pixels, no_pixels, bad_pixels, bad_rescale, bad_values, unplaced_frames, colour_image.
    """
    geometry = stack_geometry(stack.instances)
    _refuse_incomplete(stack)
    if geometry.tilted and stack.first("Modality") != "CT":
        raise GeometryRefusal(
            "sheared_stack",
            "the slices drift sideways along their normal, which only a CT gantry may do; check the export",
        )
    records = [stack.instances[k] for k in geometry.order]
    if factors is not None and len(factors) != len(records):
        raise Refusal("bad_factors", f"{len(factors)} factors for {len(records)} slices")
    values = _slices(records, factors)
    affine = geometry.affine
    if geometry.tilted:
        values, affine = _straightened(values, geometry)
    if not geometry.even:
        values = _even_slices(values, geometry.places)
    grid = Grid(
        (values.shape[0], values.shape[1], values.shape[2]),
        affine,
        str(stack.first("FrameOfReferenceUID", "")),
    )
    return Volume(values, grid, unit or stack_unit(stack))
