"""Refuse PET series whose pixels are not quantitative: units, corrections, scale, frames of several times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from liverpair.core.errors import SuvRefusal
from liverpair.dicom.suv_header import FrameFacts, SeriesFacts

__all__ = ["missing_slices", "real_world_scale", "refuse_unquantitative"]

#: Attenuation Correction Methods that say there was none.
NOT_CORRECTED = ("NONE", "NO", "NAC", "NOT CORRECTED")
#: From this slope on, pixels stored as SUV would be too coarse for any use: more likely Bq/mL by another name.
COARSE_SUV_SLOPE = 0.25
#: Two slopes written as DS and as double are the same within this.
SAME_SLOPE = 1e-6
#: Takes a warning "code: sentence".
Warn = Callable[[str], None]


def refuse_unquantitative(series: SeriesFacts, frames: Sequence[FrameFacts], warn: Warn) -> None:
    """Raise SuvRefusal where units, corrections, scale or mixed frames allow no SUV; ``warn`` takes what is odd."""
    if series.units not in ("BQML", "CNTS", "GML", "CM2ML"):
        raise SuvRefusal(
            "units_unsupported",
            f"Units (0054,1001) is {series.units!r}; only BQML, CNTS, GML and CM2ML lead to an SUV",
        )
    _refuse_unattenuated(series, warn)
    _refuse_undecayed(series, warn)
    if any(f.intercept != 0 for f in frames):
        raise SuvRefusal(
            "intercept_nonzero",
            "a slice has a Rescale Intercept other than 0; PS3.3 C.8.9.4 requires 0 for PET, so the scale is not known",
        )
    if any(f.real_world_intercept != 0 for f in frames):
        raise SuvRefusal("intercept_nonzero", "a real-world value mapping has an intercept; the scale is not known")
    slopes = [f.slope for f in frames]
    if any(s is not None and s <= 0 for s in slopes):
        raise SuvRefusal("slope_invalid", "a slice has a Rescale Slope of 0 or below; its values mean nothing")
    if any(f.slope is None and f.real_world_slope is None and f.is_image for f in frames):
        raise SuvRefusal(
            "slope_missing",
            "a slice has no readable Rescale Slope (0028,1053), which PS3.3 C.8.9.4 requires, and no real-world value "
            "slope; what its stored values mean is not known. Export the series again",
        )
    if any(s is None for s in slopes):
        warn("slope_missing: Rescale Slope is absent in a slice; the factor applies to the stored values as read")
    elif series.units in ("GML", "CM2ML") and min(s for s in slopes if s is not None) >= COARSE_SUV_SLOPE:
        warn(f"scale_unusual: Units {series.units} with a Rescale Slope of 0.25 or more; are these Bq/mL?")
    missing = missing_slices(series, frames)
    if missing:
        warn(f"slices_missing: Number of Slices promises {missing} more than the {len(frames)} that are here")
    _refuse_unsplit(series, frames, warn)


def missing_slices(series: SeriesFacts, frames: Sequence[FrameFacts]) -> int:
    """How many slices Number of Slices (0054,0081) promises beyond those given; 0 where it is silent."""
    return max(0, int(series.promised_slices or 0) - len(frames))


def real_world_scale(frame: FrameFacts) -> float:
    """By how much rescaled pixels must be multiplied to be in the unit of the frame's real-world value mapping.

    The mapping applies to stored pixels (PS3.3 C.7.6.16.2.11), the rescale to the display chain: equal slopes or only
    one of them are clear. Raises SuvRefusal("scale_contradictory").
    """
    mapped, rescaled = frame.real_world_slope, frame.slope
    if mapped is None or (rescaled is not None and abs(mapped - rescaled) <= SAME_SLOPE * abs(rescaled)):
        return 1.0
    if mapped > 0 and (rescaled is None or rescaled == 1.0):
        return mapped
    raise SuvRefusal(
        "scale_contradictory",
        f"the real-world value slope is {mapped:g} and the rescale slope {rescaled if rescaled is not None else 1:g}; "
        "which of them leads to the unit is not stated",
    )


def _refuse_unattenuated(series: SeriesFacts, warn: Warn) -> None:
    """An SUV needs attenuation correction, said by Corrected Image or, where that is empty, by the method."""
    if "ATTN" in series.corrected and series.attenuation_method.upper() in NOT_CORRECTED:
        raise SuvRefusal(
            "not_attenuation_corrected",
            f"Corrected Image holds ATTN and Attenuation Correction Method is {series.attenuation_method!r}; one of "
            "them is wrong, take the attenuation-corrected series",
        )
    if "ATTN" not in series.corrected:
        method = series.attenuation_method.upper()
        if series.corrected or method in ("", "NONE", "NO"):
            raise SuvRefusal(
                "not_attenuation_corrected",
                f"Corrected Image holds {', '.join(sorted(series.corrected)) or 'nothing'}, not ATTN; take the "
                "attenuation-corrected series",
            )
        warn("corrected_image_missing: Corrected Image is empty; Attenuation Correction Method was believed")


def _refuse_undecayed(series: SeriesFacts, warn: Warn) -> None:
    """An SUV needs a decay correction whose reference is known; one that the scanner computed needs neither."""
    if series.decay_correction not in ("START", "ADMIN", "NONE"):
        if series.units == "GML" and not series.decay_correction:
            warn("decay_correction_missing: absent, and not needed for an SUV that the scanner computed")
            return
        if series.units == "CM2ML" and not series.decay_correction:
            return
        raise SuvRefusal(
            "decay_correction_missing",
            f"Decay Correction (0054,1102) is {series.decay_correction!r}; START, ADMIN and NONE give different SUVs",
        )
    _refuse_contradicted_decay(series, warn)
    if series.is_enhanced and series.decay_correction == "START" and not series.explicit_references:
        raise SuvRefusal(
            "reference_time_unresolved",
            "Decay Corrected (0018,9758) is YES without Decay Correction DateTime (0018,9701), which it requires",
        )


def _refuse_contradicted_decay(series: SeriesFacts, warn: Warn) -> None:
    """Corrected Image, Decay Correction and the Decay Factors must tell one story."""
    decayed = "DECY" in series.corrected
    if not decayed and series.decay_correction != "NONE" and series.corrected:
        raise SuvRefusal(
            "not_decay_corrected",
            f"Corrected Image lacks DECY while Decay Correction is {series.decay_correction}; no reference is sure",
        )
    if not decayed and series.decay_correction == "NONE" and series.decay_factor_applied:
        raise SuvRefusal(
            "decay_correction_contradictory",
            "Decay Correction is NONE while the Decay Factors are not 1, as if they had been applied; one is wrong",
        )
    if decayed and series.decay_correction == "NONE":
        if not series.decay_factor_is_one:
            raise SuvRefusal(
                "decay_correction_contradictory",
                "Corrected Image holds DECY, Decay Correction is NONE, a Decay Factor of 1 to tell which is right",
            )
        warn("decay_correction_doubtful: Corrected Image holds DECY; NONE and a Decay Factor of 1 were believed")


def _refuse_unsplit(series: SeriesFacts, frames: Sequence[FrameFacts], warn: Warn) -> None:
    """Several times or gates at one position are several images; one of them alone keeps its SUV, with a note."""
    kinds = {"DYNAMIC": "dynamic_series", "GATED": "gated_series"}
    kind = next((kinds[k] for k in series.series_type if k in kinds), "")
    positions = [f.position for f in frames if f.position is not None]
    repeated = bool(positions) and max(Counter(positions).values()) > 1
    moments = {(f.acquired, f.frame_reference_s) for f in frames}
    if repeated and (kind or len(moments) > 1):
        raise SuvRefusal(
            kind or "dynamic_series",
            "the series holds several times or gates of one position; split it first, they are never averaged here",
        )
    if kind and len(positions) < len(frames):
        raise SuvRefusal(kind, "a dynamic or gated series without slice positions cannot be shown to be one image")
    if kind:
        warn(f"{kind}: the factor belongs to this one frame of the series")
