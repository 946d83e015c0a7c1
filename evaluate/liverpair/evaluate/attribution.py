"""Why a pair is false negative or false positive: non-exclusive flags, one primary cause, the numbers behind
it.

Source of the taxonomy and its precedence: ../shared/spec/statistics.md. The same flags are computed on true
positives (flag_odds.py): a flag as common there explains nothing. Somatostatin-analogue therapy is not a
cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from liverpair.core.errors import ConfigError
from liverpair.evaluate.attribution_text import explain_false_negative, explain_false_positive
from liverpair.evaluate.detectability import DetectabilitySettings
from liverpair.evaluate.pair_evidence import FocusEvidence, LesionEvidence, PairEvidence, is_recent

__all__ = ["FN_CAUSES", "FP_CAUSES", "Attribution", "AttributionSettings", "attribute", "flags_of", "technical_flags"]

#: Fewer avid lesions than this have no quartile to compare with.
QUARTILE_LESIONS = 3

FN_CAUSES = (
    "label_error",
    "interval_therapy",
    "misregistration",
    "size",
    "low_ssr_expression",
    "background",
    "unexplained",
)
FP_CAUSES = (
    "label_error",
    "interval_therapy",
    "spill_in",
    "post_surgical",
    "other_tumour",
    "benign_on_mr",
    "noise",
    "fatty_sparing",
    "misregistration",
    "mri_miss",
    "unexplained",
)


@dataclass(frozen=True, slots=True)
class AttributionSettings:
    """Thresholds of every flag and the order in which causes are tried; defaults from statistics.md.

    ``size_mm``: smaller is "size" whatever else; up to ``size_fwhm_factor``·FWHM the detectability model
    decides. ``low_ssr_mm``, ``low_ssr_ratio``: a lesion this large at most this hot is not avid; a bound T₉₅
    below ``detectability.non_avid_t95`` says the same at any size. ``background_sd``: liver SUVmean above the
    tracer cohort's mean + this many SD; ``steatosis_hu``: unenhanced liver CT below it. ``near_focus_mm``: a
    PET focus beyond the tolerance but nearer than this is misregistered; ``dome_offset_mm``: domes further
    apart than this. ``subcapsular_mm``, ``dome_share``: location. ``therapy_days``: therapy at most this long
    before the first of the two examinations, or between them; ``long_interval_days``: a longer interval is a
    cause by itself. ``noise_margin``: a false focus within this many SD of the detector's threshold is noise;
    ``fatty_sparing_ratio``: a focus in a fatty liver weaker than this may be spared parenchyma.
    ``size_sweep_mm``: thresholds whose share of the false negatives is tabulated. ``uptake_minutes``: a scan outside
    this time after injection is flagged (the EANM and SNMMI procedures ask for 45–90 minutes with ⁶⁸Ga, ⁶⁴Cu allows
    more); ``least_activity_mbq``: so is one with less activity (they ask for 100–200 MBq of ⁶⁸Ga).
    """

    size_mm: float = 6.0
    size_fwhm_factor: float = 2.0
    low_ssr_mm: float = 10.0
    low_ssr_ratio: float = 1.2
    background_sd: float = 2.0
    steatosis_hu: float = 42.0
    near_focus_mm: float = 20.0
    dome_offset_mm: float = 10.0
    subcapsular_mm: float = 10.0
    dome_share: float = 0.2
    therapy_days: int = 90
    long_interval_days: int = 92
    therapies: tuple[str, ...] = ("PRRT", "TACE", "TAE", "SIRT", "TARE", "ABLATION", "RFA", "MWA", "SURGERY")
    noise_margin: float = 0.5
    fatty_sparing_ratio: float = 1.5
    size_sweep_mm: tuple[float, ...] = (5.0, 6.0, 10.0)
    uptake_minutes: tuple[float, float] = (40.0, 120.0)
    least_activity_mbq: float = 60.0
    fn_precedence: tuple[str, ...] = FN_CAUSES
    fp_precedence: tuple[str, ...] = FP_CAUSES
    detectability: DetectabilitySettings = field(default_factory=DetectabilitySettings)

    def __post_init__(self) -> None:
        for given, known in ((self.fn_precedence, FN_CAUSES), (self.fp_precedence, FP_CAUSES)):
            unknown = [c for c in given if c not in known]
            if unknown or not given or given[-1] != "unexplained":
                raise ConfigError(f"a precedence lists causes of {', '.join(known)} and ends with unexplained: {given}")
        if self.size_mm <= 0 or self.low_ssr_mm <= 0:
            raise ConfigError("size_mm and low_ssr_mm must be positive")


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """One row of attribution.csv; true positives have flags for comparison and no primary cause ("")."""

    pair_id: str
    outcome: str
    primary_cause: str
    flags: tuple[str, ...]
    largest_undetected_mm: float | None
    below_size_threshold: bool | None
    predicted_cnr: float | None
    p_detect: float | None
    t95: float | None
    explanation: str


def _target(e: PairEvidence) -> LesionEvidence | None:
    """The lesion that decides: the largest undetected one (of a true positive, the largest)."""
    missed = [x for x in e.lesions if not x.detected] if e.outcome == "FN" else list(e.lesions)
    if not missed and e.largest_mm is not None:
        return LesionEvidence("", e.largest_mm, False if e.outcome == "FN" else None)
    return max(missed, key=lambda x: (x.diameter_mm is not None, x.diameter_mm or 0.0), default=None)


def _disagrees(one: str, other: str) -> bool:
    return {one, other} == {"present", "absent"}


def _shared_flags(e: PairEvidence, s: AttributionSettings) -> list[str]:
    """Flags that depend on the examinations, not on a lesion."""
    flags = []
    if not e.consensus and _disagrees(e.mr_image, e.mr_report):
        flags.append("label_mr")
    if not e.consensus and _disagrees(e.pet_image, e.pet_report):
        flags.append("label_pet")
    if any(is_recent(t, s.therapies, s.therapy_days) for t in e.treatments):
        flags.append("therapy")
    if e.interval_days is not None and abs(e.interval_days) > s.long_interval_days:
        flags.append("long_interval")
    if e.dome_offset_mm is not None and e.dome_offset_mm > s.dome_offset_mm:
        flags.append("dome_offset")
    if e.registration_verdict in ("rigid_only", "failed"):
        flags.append(f"registration_{e.registration_verdict}")
    if e.liver_suv_mean is not None and e.liver_suv_cohort is not None:
        mean, sd = e.liver_suv_cohort
        if e.liver_suv_mean > mean + s.background_sd * sd:
            flags.append("background")
    if e.liver_hu is not None and e.liver_hu < s.steatosis_hu:
        flags.append("steatosis")
    return flags + [f"technical_{code}" for code in e.technical]


def technical_flags(suv: Mapping[str, Any], settings: AttributionSettings) -> tuple[str, ...]:
    """Codes of what is unusual in an acquisition; ``suv``: uptake_minutes and dose_bq where the header tells."""
    flags = []
    minutes, activity = suv.get("uptake_minutes"), suv.get("dose_bq")
    if minutes is not None and minutes < settings.uptake_minutes[0]:
        flags.append("short_uptake")
    if minutes is not None and minutes > settings.uptake_minutes[1]:
        flags.append("long_uptake")
    if activity is not None and activity < settings.least_activity_mbq * 1e6:
        flags.append("low_activity")
    return tuple(flags)


def _size_flags(x: LesionEvidence, e: PairEvidence, s: AttributionSettings) -> list[str]:
    flags = []
    if x.diameter_mm is not None and x.diameter_mm < s.size_mm:
        flags.append("size")
    if e.scanner and x.diameter_mm is not None and x.diameter_mm < s.size_fwhm_factor * e.scanner.fwhm_mm:
        flags.append("below_resolution")
    p = x.prediction.p_detect if x.prediction else None
    if p is not None and p < s.detectability.visible_p:
        flags.append("expected_invisible")
    return flags


def _below_usual(bound: float, e: PairEvidence) -> bool:
    """Whether even the upper bound of a lesion's ratio lies below most of the avid lesions."""
    return e.avidity is not None and e.avidity.n >= QUARTILE_LESIONS and bound < e.avidity.lower_quartile


def _avidity_flags(x: LesionEvidence, e: PairEvidence, s: AttributionSettings) -> list[str]:
    flags = []
    large = x.diameter_mm is not None and x.diameter_mm >= s.low_ssr_mm
    if large and x.tlr is not None and x.tlr <= s.low_ssr_ratio:
        flags.append("low_ssr")
    bound = x.prediction.t95 if x.prediction and x.prediction.verdict != "not_evaluable" else None
    if bound is not None and bound < s.detectability.non_avid_t95:
        flags.append("truly_non_avid")
    elif bound is not None and _below_usual(bound, e):
        flags.append("less_avid_than_others")
    return flags


def _place_flags(x: LesionEvidence, s: AttributionSettings) -> list[str]:
    flags = []
    tolerance = x.gate_mm or 0.0
    if x.nearest_focus_mm is not None and tolerance < x.nearest_focus_mm < s.near_focus_mm:
        flags.append("near_focus")
    if x.prediction and x.prediction.verdict == "not_evaluable" and "field of view" in x.prediction.reason:
        flags.append("outside_pet")
    if x.capsule_mm is not None and x.capsule_mm <= s.subcapsular_mm:
        flags.append("subcapsular")
    if x.height is not None and x.height >= 1 - s.dome_share:
        flags.append("dome")
    return flags


def flags_of(e: PairEvidence, settings: AttributionSettings | None = None) -> tuple[str, ...]:
    """Every flag of a pair with a reference lesion (FN or TP), on the lesion that decides."""
    s = settings or AttributionSettings()
    x = _target(e)
    own = [] if x is None else [*_size_flags(x, e, s), *_avidity_flags(x, e, s), *_place_flags(x, s)]
    return (*_shared_flags(e, s), *own)


def _size_explains(x: LesionEvidence | None, flags: set[str]) -> bool:
    """Whether the miss is due to size: small, or invisible by the model; never where the model says "visible
    but not avid" or a lesion of 10 mm stays as dark as the liver."""
    if x is None or "low_ssr" in flags:
        return False
    invisible = "expected_invisible" in flags
    if "truly_non_avid" in flags and not invisible and x.prediction and x.prediction.p_detect is not None:
        return False
    return "size" in flags or (invisible and "below_resolution" in flags and "truly_non_avid" not in flags)


def _fn_causes(e: PairEvidence, x: LesionEvidence | None, flags: set[str]) -> set[str]:
    """The causes of the taxonomy that hold for a false negative."""
    causes = {"unexplained"}
    if flags & {"label_mr", "label_pet"}:
        causes.add("label_error")
    if flags & {"therapy", "long_interval"}:
        causes.add("interval_therapy")
    if "near_focus" in flags or ("dome_offset" in flags and e.foci):  # an offset hides nothing where PET shows nothing
        causes.add("misregistration")
    if _size_explains(x, flags):
        causes.add("size")
    if flags & {"low_ssr", "truly_non_avid", "less_avid_than_others"}:
        causes.add("low_ssr_expression")
    if "background" in flags:
        causes.add("background")
    return causes


def _focus_flags(f: FocusEvidence, e: PairEvidence, s: AttributionSettings) -> list[str]:
    """Flags of a PET focus without a reference lesion."""
    flags = []
    for name in ("spill_in", "post_surgical", "other_tumour"):
        if any(flag == name or flag.startswith((name + ":", name + "_")) for flag in f.flags):
            flags.append(name)
    if f.benign_match:
        flags.append("benign_on_mr")
    if f.nearest_lesion_mm is not None and f.nearest_lesion_mm < s.near_focus_mm:
        flags.append("near_lesion")
    if e.scanner and f.z is not None and f.z < e.scanner.threshold + s.noise_margin:
        flags.append("noise")
    fatty = e.liver_hu is not None and e.liver_hu < s.steatosis_hu
    if fatty and f.tlr is not None and f.tlr < s.fatty_sparing_ratio:
        flags.append("fatty_sparing")
    return flags


def _fp_causes(f: FocusEvidence | None, flags: set[str]) -> set[str]:
    """The causes of the taxonomy that hold for a false positive."""
    causes = {"unexplained"}
    if flags & {"label_mr", "label_pet"}:
        causes.add("label_error")
    if flags & {"therapy", "long_interval"}:
        causes.add("interval_therapy")
    if "near_lesion" in flags:
        causes.add("misregistration")
    named = {"spill_in", "post_surgical", "other_tumour", "benign_on_mr", "noise", "fatty_sparing"}
    causes |= flags & named
    if f is not None and not flags & named:
        causes.add("mri_miss")
    return causes


def _first(precedence: tuple[str, ...], causes: set[str]) -> str:
    return next(c for c in precedence if c in causes)


def _false_positive(e: PairEvidence, s: AttributionSettings) -> Attribution:
    """The focus that decides is the one hardest to explain away: fewest flags, then the hottest."""
    rated = [(f, _focus_flags(f, e, s)) for f in e.foci]
    focus, own = min(rated, key=lambda r: (len(r[1]), -(r[0].tlr or 0.0)), default=(None, []))
    flags = (*_shared_flags(e, s), *own)
    cause = _first(s.fp_precedence, _fp_causes(focus, set(flags)))
    text = explain_false_positive(e, focus, cause, s)
    return Attribution(e.pair_id, e.outcome, cause, flags, None, None, None, None, None, text)


def attribute(evidence: PairEvidence, settings: AttributionSettings | None = None) -> Attribution:
    """Flags, primary cause and the reader's sentence of one pair.

    False negatives and false positives get a primary cause; for every other outcome it is "".
    """
    s = settings or AttributionSettings()
    if evidence.outcome == "FP":
        return _false_positive(evidence, s)
    if evidence.outcome == "TN":  # only what does not depend on a lesion: to compare false positives with
        flags = tuple(_shared_flags(evidence, s))
        return Attribution(evidence.pair_id, "TN", "", flags, None, None, None, None, None, "")
    x = _target(evidence)
    flags = flags_of(evidence, s)
    size = x.diameter_mm if x else None
    p = x.prediction if x else None
    is_miss = evidence.outcome == "FN"
    cause = _first(s.fn_precedence, _fn_causes(evidence, x, set(flags))) if is_miss else ""
    return Attribution(
        pair_id=evidence.pair_id,
        outcome=evidence.outcome,
        primary_cause=cause,
        flags=flags,
        largest_undetected_mm=size if is_miss else None,
        below_size_threshold=None if size is None or not is_miss else size < s.size_mm,
        predicted_cnr=p.predicted_cnr if p else None,
        p_detect=p.p_detect if p else None,
        t95=p.t95 if p else None,
        explanation=explain_false_negative(evidence, x, cause, s) if is_miss else "",
    )
