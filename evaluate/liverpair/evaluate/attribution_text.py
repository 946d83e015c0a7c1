"""The sentence for a reader: what was missed, the numbers, and what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from liverpair.evaluate.pair_evidence import FocusEvidence, LesionEvidence, PairEvidence, is_recent

if TYPE_CHECKING:  # attribution.py uses these sentences; only its settings' type is needed here
    from liverpair.evaluate.attribution import AttributionSettings

__all__ = ["explain_false_negative", "explain_false_positive", "percent"]

NUMBERS = (
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)


def percent(p: float) -> str:
    """A probability for a sentence: "2 %", "< 1 %", "> 99 %"."""
    if p < 0.01:
        return "< 1 %"
    return "> 99 %" if p > 0.99 else f"{100 * p:.0f} %"


def _subject(e: PairEvidence, x: LesionEvidence | None) -> str:
    """How many lesions and how large: "two lesions, largest 4.8 mm"."""
    n = sum(not y.detected for y in e.lesions) or e.count
    size = None if x is None else x.diameter_mm
    if not n:
        return "undetected lesion of unknown size" if size is None else f"largest undetected lesion {size:.1f} mm"
    word = NUMBERS[n] if n < len(NUMBERS) else str(n)
    if size is None:
        return f"{word} lesion{'' if n == 1 else 's'} of unknown size"
    return f"one lesion of {size:.1f} mm" if n == 1 else f"{word} lesions, largest {size:.1f} mm"


def _numbers(x: LesionEvidence | None) -> str:
    """What the model and the PET say: "; predicted CNR 1.8, P(detect) 2 %, T₉₅ 1.3"."""
    said = []
    p = x.prediction if x else None
    if p and p.predicted_cnr is not None:
        said.append(f"predicted CNR {p.predicted_cnr:.1f}")
    if p and p.p_detect is not None:
        said.append(f"P(detect) {percent(p.p_detect)}")
    if x and x.tlr is not None:
        said.append(f"measured {x.tlr:.2f} × liver")
    if p and p.t95 is not None and p.verdict != "not_evaluable":
        said.append(f"true ratio at most {p.t95:.2f} (95 %)")
    return "; " + ", ".join(said) if said else ""


def _size_verdict(x: LesionEvidence | None, s: AttributionSettings) -> str:
    p = x.prediction if x else None
    if p and p.p_detect is not None and p.p_detect < s.detectability.visible_p:
        return "expected invisible on this scanner"
    if p and p.p_detect is not None:
        return f"below {s.size_mm:g} mm, though the model would have expected it to be seen"
    return f"below {s.size_mm:g} mm, where few lesions are seen"


def _low_ssr_verdict(x: LesionEvidence | None, e: PairEvidence, s: AttributionSettings) -> str:
    bound = x.prediction.t95 if x and x.prediction else None
    if bound is not None and bound >= s.detectability.non_avid_t95 and e.avidity is not None:
        usual = e.avidity.lower_quartile
        return f"less avid than the {e.avidity.source}'s other lesions (lower quartile {usual:.1f})"
    return "the lesion itself takes up no more than the liver, size does not explain the miss"


def _interval_verdict(e: PairEvidence, s: AttributionSettings) -> str:
    recent = [t.kind for t in e.treatments if is_recent(t, s.therapies, s.therapy_days)]
    if recent:
        return f"{', '.join(recent)} between or shortly before the examinations"
    return f"the examinations are {abs(e.interval_days or 0)} days apart"


def _label_verdict(e: PairEvidence) -> str:
    said = []
    if {e.mr_image, e.mr_report} == {"present", "absent"}:
        said.append(f"MRI report says {e.mr_report}, MRI images {e.mr_image}")
    if {e.pet_image, e.pet_report} == {"present", "absent"}:
        said.append(f"PET report says {e.pet_report}, PET images {e.pet_image}")
    return "; ".join(said)


def explain_false_negative(e: PairEvidence, x: LesionEvidence | None, cause: str, s: AttributionSettings) -> str:
    """One sentence: subject, numbers, verdict of the primary cause."""
    verdicts = {
        "label_error": lambda: _label_verdict(e),
        "interval_therapy": lambda: _interval_verdict(e, s),
        "misregistration": lambda: (
            f"a PET focus lies {x.nearest_focus_mm:.0f} mm away, beyond the tolerance"
            if x and x.nearest_focus_mm is not None
            else f"the liver domes lie {e.dome_offset_mm or 0:.0f} mm apart"
        ),
        "size": lambda: _size_verdict(x, s),
        "low_ssr_expression": lambda: _low_ssr_verdict(x, e, s),
        "background": lambda: f"liver SUVmean {e.liver_suv_mean or 0:.1f} is above its tracer's usual range",
        "unexplained": lambda: (
            (x.prediction.reason if x and x.prediction and x.prediction.verdict == "not_evaluable" else "")
            or "nothing measured explains the miss"
        ),
    }
    return f"{_subject(e, x)}{_numbers(x)}: {verdicts[cause]()}"


def explain_false_positive(e: PairEvidence, f: FocusEvidence | None, cause: str, s: AttributionSettings) -> str:
    """One sentence on the PET focus that decides and what it probably is."""
    numbers = []
    if f and f.tlr is not None:
        numbers.append(f"{f.tlr:.2f} × liver")
    if f and f.z is not None:
        numbers.append(f"{f.z:.1f} SD above it")
    said = f"PET focus ({', '.join(numbers)})" if numbers else "PET focus" if f else "PET positive"
    verdicts = {
        "label_error": _label_verdict(e),
        "interval_therapy": _interval_verdict(e, s),
        "misregistration": f"an MRI finding lies {f.nearest_lesion_mm or 0:.0f} mm away" if f else "",
        "spill_in": "beside an organ of high physiological uptake",
        "post_surgical": "at a site of surgery",
        "other_tumour": "another tumour",
        "benign_on_mr": f"MRI shows a benign lesion there ({f.benign_match if f else ''})",
        "noise": "barely above the detection threshold",
        "fatty_sparing": f"weak, in a fatty liver ({e.liver_hu or 0:.0f} HU): spared parenchyma",
        "mri_miss": "clearly above the noise and without a counterpart: MRI may have missed it",
        "unexplained": "nothing measured explains it",
    }
    return f"{said}: {verdicts[cause]}"
