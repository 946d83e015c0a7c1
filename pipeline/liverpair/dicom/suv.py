"""Turn a PET series into SUVbw: one factor per slice with its provenance, or a refusal with its reason.

Every rule is spec/suv.md's. Nothing is assumed silently: what was read otherwise than written is in ``warnings``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from liverpair.core.errors import GeometryRefusal, SuvRefusal
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.dicom.nuclides import HALF_LIVES_S, identify_nuclide
from liverpair.dicom.suv_gate import missing_slices, real_world_scale, refuse_unquantitative
from liverpair.dicom.suv_header import FrameFacts, SeriesFacts, read_frames, read_series
from liverpair.dicom.suv_injection import resolve_administration, stop_disagrees, usual_uptake_s
from liverpair.dicom.suv_result import Notes, SuvResult, outcome
from liverpair.dicom.suv_settings import SuvSettings
from liverpair.dicom.suv_time import (
    Reference,
    mean_count_time,
    reference_candidates,
    resolve_reference,
    same_factor,
)
from liverpair.dicom.suv_units import Body, body_of, dose_bq, normalisation, unusual_dose, weight_g
from liverpair.dicom.suv_witness import (
    refuse_contradicted,
    refuse_reference_at_injection,
    refuse_scan_start_as_administration,
)
from liverpair.dicom.tracer import TracerSettings, identify_tracer

__all__ = ["SuvResult", "SuvSettings", "suv_factors", "to_suv"]

#: From the first bed's start to the last one's no static scan takes longer, whole body and slow tracers included.
LONGEST_STATIC_S = 6 * 3600.0
#: Header half-lives further than this from the table are reported (spec suv.md) ...
HALF_LIFE_WARNING = 0.01
#: ... and refused beyond this: no rounding explains it, so the unit or the nuclide is wrong.
HALF_LIFE_REFUSAL = 0.10
OUT_OF_RANGE = "a date, time or number of the header lies beyond what can be computed with; correct the header"
#: No static PET starts sooner after the injection: positioning and the CT alone take longer.
SHORTEST_UPTAKE_S = 300.0
#: From ⁸²Rb to ⁹⁰Y, ⁸⁹Zr and ¹⁷⁷Lu: nothing is imaged that lives shorter or longer; the number has another unit.
HALF_LIFE_RANGE_S = (60.0, 1e7)
#: Two ways to the same factor that differ by more than this are reported.
FACTOR_TOLERANCE = 0.01


class _FirstDataset:
    """A data set that answers like a stack, for the tracer's decision."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    def first(self, keyword: str, default: Any = None) -> Any:
        """The attribute as plain JSON."""
        try:
            value = self._dataset.get(keyword)
            return _plain(value) if value is not None else default
        except Exception:  # noqa: BLE001 - pydicom raises whatever damaged bytes provoke
            return default  # an unreadable attribute, or one with an unreadable item, is an absent one


def _plain(value: Any) -> Any:
    if isinstance(value, Dataset):
        return {element.keyword: _plain(element.value) for element in value if element.keyword}
    if isinstance(value, str | bytes | int | float):
        return value
    if hasattr(value, "__iter__"):
        return [_plain(item) for item in value]
    return str(value)


def suv_factors(datasets: Sequence[Dataset], settings: SuvSettings = SuvSettings()) -> SuvResult:
    """SUVbw factors of one PET stack from its headers in stack order (an enhanced object counts per frame).

    Never raises for what a header says: a series without a sure SUV is a result with status refused.
    """
    notes = Notes()
    try:
        factor, frames = _resolve(datasets, settings, notes), notes.frames
        scaled = tuple(f * real_world_scale(frame) for f, frame in zip(factor, frames, strict=True))
        return outcome(notes, factor=scaled)
    except SuvRefusal as refusal:
        return outcome(notes, refusal=refusal)
    except OverflowError:
        return outcome(notes, refusal=SuvRefusal("number_out_of_range", OUT_OF_RANGE))


def _resolve(datasets: Sequence[Dataset], settings: SuvSettings, notes: Notes) -> tuple[float, ...]:
    if not datasets:
        raise SuvRefusal("no_slices", "the series holds no slice header")
    series = notes.series = read_series(datasets)
    frames = notes.frames = read_frames(datasets)
    notes.tracer = identify_tracer(_FirstDataset(datasets[0]), TracerSettings())
    refuse_unquantitative(series, frames, notes.warn)
    body = notes.body = body_of(series, settings.weight_kg or None)
    notes.warn(*body.warnings)
    if series.units in ("GML", "CM2ML"):
        if series.decay_correction == "NONE":
            raise SuvRefusal("not_decay_corrected", f"Units {series.units} with Decay Correction NONE is no usable SUV")
        factor, warnings = normalisation(series, body)
        notes.warn(*warnings)
        return (factor,) * len(frames)
    if series.units == "CNTS":
        return _from_counts(series, frames, body, settings, notes)
    return _from_activity(series, frames, body, settings, notes)


# --- the three ways to an SUV ------------------------------------------------------------------------------------


def _from_counts(
    series: SeriesFacts, frames: Sequence[FrameFacts], body: Body, settings: SuvSettings, notes: Notes
) -> tuple[float, ...]:
    """Philips counts: (7053,1000) is the SUV's scale, (7053,1009) that of Bq/mL."""
    scales = [f.suv_scale for f in frames]
    activities = [f.activity_scale for f in frames]
    direct = all(s is not None and s > 0 for s in scales) and series.decay_correction != "NONE"
    indirect = all(a is not None and a > 0 for a in activities)
    if direct:
        factor = tuple(float(s or 0) for s in scales)
        if indirect:
            _cross_check(factor, series, frames, body, settings, notes)
        return factor
    if not indirect:
        raise SuvRefusal(
            "units_unsupported",
            "Units are CNTS and neither the SUV scale (7053,1000) nor the activity scale (7053,1009) of the Philips "
            "private group is usable; counts alone have no SUV",
        )
    per_bq = _from_activity(series, frames, body, settings, notes)
    return tuple(f * float(a or 0) for f, a in zip(per_bq, activities, strict=True))


def _cross_check(
    factor: Sequence[float], series: SeriesFacts, frames: Sequence[FrameFacts], body: Body,
    settings: SuvSettings, notes: Notes,
) -> None:  # fmt: skip
    """Compare the scanner's SUV scale with the formula where the header allows both; a difference is reported."""
    try:
        per_bq = _from_activity(series, frames, body, settings, notes)
    except SuvRefusal as refusal:
        notes.warn(
            f"not_cross_checked: the formula is not applicable ({refusal.reason}); the scanner's SUV scale was taken"
        )
        return
    worst = max(abs(b * float(f.activity_scale or 0) / s - 1) for s, b, f in zip(factor, per_bq, frames, strict=True))
    if worst > FACTOR_TOLERANCE:
        notes.warn(f"philips_scales_differ: (7053,1000) and the formula with (7053,1009) differ by {100 * worst:.1f} %")


def _from_activity(
    series: SeriesFacts, frames: Sequence[FrameFacts], body: Body, settings: SuvSettings, notes: Notes
) -> tuple[float, ...]:
    """SUVbw per Bq/mL by the formula of the series' Decay Correction."""
    weight = weight_g(body)
    dose, warnings = dose_bq(series, settings.dose_unit)
    notes.dose_bq = dose
    notes.warn(*warnings)
    notes.warn(*unusual_dose(dose, weight / 1000, settings.half_life_s or series.half_life_s or 0.0))
    if series.decay_correction == "ADMIN":
        _note_uptake(series, frames, settings, notes)
        if notes.administration is not None and notes.half_life_s is not None:
            refuse_scan_start_as_administration(
                series, frames, notes.administration.time, math.log(2) / notes.half_life_s
            )
        return (weight / dose,) * len(frames)
    half_life = _half_life(series, settings, notes)
    decay_constant = math.log(2) / half_life
    if series.decay_correction == "NONE":
        return _undecayed(series, frames, weight / dose, half_life, notes)
    candidates = notes.candidates = reference_candidates(frames, series, decay_constant)
    reference = notes.reference = resolve_reference(candidates, decay_constant)
    notes.warn(*reference.warnings)
    refuse_contradicted(reference, candidates, frames, decay_constant)
    if reference.rule == "earliest_acquisition" and missing_slices(series, frames):
        raise SuvRefusal(
            "reference_time_unresolved",
            "the reference is the earliest acquisition, and slices that may be earlier are missing; fetch the series",
        )
    start = notes.administration = resolve_administration(series, reference.time, half_life)
    notes.warn(*start.warnings)
    notes.warn(*stop_disagrees(series, start.time))
    elapsed = (reference.time - start.time).total_seconds()
    refuse_reference_at_injection(reference, elapsed, decay_constant)
    _check_uptake(series, frames, elapsed, half_life, notes)
    return (weight / (dose * math.exp(-decay_constant * elapsed)),) * len(frames)


def _undecayed(
    series: SeriesFacts, frames: Sequence[FrameFacts], per_dose: float, half_life: float, notes: Notes
) -> tuple[float, ...]:
    """Decay Correction NONE: each frame's mean activity is carried to its start, then to the injection."""
    decay_constant = math.log(2) / half_life
    times = [f.acquired for f in frames]
    references = {f.frame_reference_s for f in frames}
    if any(t is None for t in times) or any(not f.duration_s for f in frames):
        raise SuvRefusal(
            "reference_time_unresolved",
            "Decay Correction is NONE and a slice lacks Acquisition Time or Actual Frame Duration; restore them",
        )
    if len(set(times)) == 1 and len(references) > 1:
        raise SuvRefusal(
            "reference_time_unresolved",
            "Decay Correction is NONE and all slices state one Acquisition Time although their Frame Reference Times "
            "differ: the beds' own start times are not known",
        )
    first, last = min(t for t in times if t is not None), max(t for t in times if t is not None)
    if (last - first).total_seconds() > LONGEST_STATIC_S:
        raise SuvRefusal(
            "reference_time_unresolved",
            f"Decay Correction is NONE and the slices begin over {(last - first).total_seconds() / 3600:.1f} h, longer "
            "than any static scan: dates and times contradict each other. Correct Acquisition Date or Time",
        )
    start = notes.administration = resolve_administration(series, first, half_life)
    candidates = reference_candidates(frames, series, decay_constant).moments
    notes.reference = Reference("per_slice_acquisition", first, candidates, None, ())
    notes.warn(*start.warnings)
    if series.start and not same_factor(series.start, first, decay_constant):
        notes.warn("reference_times_differ: the series time is not that of the first acquisition, which was believed")
    _check_uptake(series, frames, (first - start.time).total_seconds(), half_life, notes)
    factors = []
    for frame in frames:
        if frame.acquired is None or frame.duration_s is None:
            continue  # excluded above
        elapsed = (frame.acquired - start.time).total_seconds() + mean_count_time(decay_constant, frame.duration_s)
        factors.append(per_dose * math.exp(decay_constant * elapsed))
    return tuple(factors)


# --- half-life and waiting time ----------------------------------------------------------------------------------


def _half_life(series: SeriesFacts, settings: SuvSettings, notes: Notes) -> float:
    """The setting's, the header's, or the table's for a coded nuclide; refused where they contradict each other."""
    stated = settings.half_life_s or series.half_life_s
    nuclide = identify_nuclide(series.nuclide_codes, stated)
    table = HALF_LIVES_S.get(nuclide.by_code)
    if settings.half_life_s:
        notes.warn("half_life_overridden: the half-life was taken from the settings")
    if not stated or stated <= 0:
        if table is None:
            raise SuvRefusal(
                "half_life_missing",
                "Radionuclide Half Life (0018,1075) is absent and no code names the nuclide. Restore it",
            )
        notes.warn(f"half_life_from_table: absent in the header, {table:g} s of {nuclide.by_code} was taken")
        stated = table
    elif table is not None and abs(stated / table - 1) > HALF_LIFE_REFUSAL:
        raise SuvRefusal(
            "half_life_contradictory",
            f"Radionuclide Half Life is {stated:g} s and the nuclide is coded {nuclide.by_code} ({table:g} s); "
            "correct the header or set half_life_s",
        )
    if not HALF_LIFE_RANGE_S[0] <= stated <= HALF_LIFE_RANGE_S[1]:
        raise SuvRefusal(
            "half_life_implausible",
            f"Radionuclide Half Life is {stated:g} s, which no imaged nuclide has; correct it or set half_life_s",
        )
    if notes.tracer and "nuclide_contradictory" in notes.tracer.flags and not settings.half_life_s:
        raise SuvRefusal(
            "half_life_contradictory",
            f"half-life ({stated:g} s), nuclide code and radiopharmaceutical name different nuclides; correct the "
            "header or set half_life_s",
        )
    nearest = HALF_LIVES_S.get(nuclide.by_code or nuclide.by_half_life)
    if nearest and abs(stated / nearest - 1) > HALF_LIFE_WARNING:
        notes.warn(f"half_life_off: {stated:g} s in the header, {nearest:g} s in the table; the header's was taken")
    notes.half_life_s = stated
    return stated


def _note_uptake(series: SeriesFacts, frames: Sequence[FrameFacts], settings: SuvSettings, notes: Notes) -> None:
    """Report the waiting time of a series whose SUV does not depend on it; nothing here can refuse the SUV."""
    try:
        half_life = _half_life(series, settings, notes)
        acquired = [f.acquired for f in frames if f.acquired is not None]
        if not acquired:
            return
        notes.administration = resolve_administration(series, min(acquired), half_life)
        candidates = reference_candidates(frames, series, math.log(2) / half_life).moments
        notes.reference = Reference("administration", notes.administration.time, candidates, None, ())
        _warn_unusual_uptake((min(acquired) - notes.administration.time).total_seconds(), half_life, notes)
    except SuvRefusal as refusal:
        notes.warn(f"uptake_unknown: {refusal.reason}; the SUV does not depend on it (Decay Correction ADMIN)")


def _check_uptake(
    series: SeriesFacts, frames: Sequence[FrameFacts], elapsed_s: float, half_life_s: float, notes: Notes
) -> None:
    """Refuse an image made at the injection unless it is dynamic: the injection's field holds the scan's time."""
    if elapsed_s < SHORTEST_UPTAKE_S and "DYNAMIC" not in series.series_type:
        raise SuvRefusal(
            "uptake_implausible",
            f"the header puts {elapsed_s / 60:.1f} min between injection and image, which no static scan does; the "
            "injection's time was probably filled with the scan's. Correct the header",
        )
    _warn_unusual_uptake(elapsed_s, half_life_s, notes)


def _warn_unusual_uptake(elapsed_s: float, half_life_s: float, notes: Notes) -> None:
    low, high = usual_uptake_s(half_life_s)
    if not low <= elapsed_s <= high:
        notes.warn(
            f"uptake_unusual: {elapsed_s / 60:.0f} min before the image, usual are {low / 60:.0f}–{high / 60:.0f} min"
        )


def to_suv(volume: Volume, result: SuvResult) -> Volume:
    """The volume in SUVbw: slice k of ``volume`` (values [i, j, k] as rescaled by its header) times factor k.

    Raises SuvRefusal with the result's own reason where it was refused, GeometryRefusal("slices_mismatch") where the
    volume's slices are not the series' (resampled) and the factors differ.
    """
    if result.status != "ok":
        raise SuvRefusal(result.reason, result.detail)
    factor = np.asarray(result.factor, dtype=np.float64)
    if len(factor) != volume.grid.shape[2]:
        if np.ptp(factor) > 1e-9 * factor.max():
            raise GeometryRefusal(
                "slices_mismatch",
                f"{len(factor)} SUV factors do not fit {volume.grid.shape[2]} slices; apply them before resampling",
            )
        factor = np.full(volume.grid.shape[2], factor[0])
    return Volume((volume.values * factor).astype(np.float32), volume.grid, Unit.SUVBW)
