"""How numbers and codes are put into words for a reader."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from liverpair.evaluate.attribution_text import percent as said_percent

__all__ = [
    "bounds",
    "cause",
    "chance",
    "counted",
    "days",
    "ends",
    "headline",
    "human",
    "interval_mm",
    "method_words",
    "noted",
    "number",
    "p_value",
    "percent",
    "plain_bounds",
    "significant",
    "size_range",
    "unbroken",
    "words",
]

ESTIMATE_NAMES = {
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "accuracy": "Accuracy",
}
RATIO_NAMES = {
    "lr_positive": "Likelihood ratio, positive",
    "lr_negative": "Likelihood ratio, negative",
    "diagnostic_odds_ratio": "Diagnostic odds ratio",
}
METHOD_NAMES = {
    "korn_graubard": "Korn–Graubard (clustered)",
    "ratio_logit": "ratio, logit-t (clustered)",
    "gee": "GEE (clustered)",
    "gee_bias_reduced": "GEE, bias-reduced (clustered)",
    "bootstrap": "bootstrap by patient",
    "clopper_pearson": "Clopper–Pearson (as if independent)",
}
#: What a reader is told for each cause code; a code of the user's own taxonomy is shown as it is.
CAUSES = {
    "size": "small size",
    "low_ssr_expression": "low receptor expression",
    "background": "high liver background",
    "misregistration": "misregistration",
    "interval_therapy": "interval or therapy",
    "label_error": "label or reference error",
    "unexplained": "unexplained",
    "spill_in": "spill-in from a neighbour",
    "mri_miss": "possible MRI miss",
}
#: Codes of exclusions, refusals and flags whose bare words a reader would not understand.
WORDS = {
    "not_dicom": "not a DICOM file",
    "duplicate_instance": "second copy of an image",
    "truncated": "file cut off",
    "not_ssr_tracer": "PET with another tracer",
    "mr_out_of_window": "MRI too far in time from any SSR-PET/CT",
    "pet_out_of_window": "SSR-PET/CT too far in time from any MRI",
    "pet_without_mr": "SSR-PET/CT without an MRI",
    "mr_without_pet": "MRI without an SSR-PET/CT",
    "not_liver_mr": "MRI of another organ",
    "no_ac_pet": "no attenuation-corrected PET",
    "no_ct": "no CT with the PET",
    "pet_without_liver": "PET that does not cover the liver",
    "pet-ac": "attenuation-corrected PET",
    "pet-detection": "search for foci on PET",
    "mr-detection": "search for lesions on MRI",
    "ct": "CT of the PET/CT",
    "mr-hbp": "hepatobiliary T1",
    "mr-t1": "T1",
    "mr-t2": "T2",
    "mr-dwi": "diffusion-weighted MRI",
    "label_mr": "MRI: report and images disagree",
    "label_pet": "PET: report and images disagree",
    "size": "smaller than the size limit",
    "below_resolution": "smaller than twice the PET's resolution",
    "expected_invisible": "expected invisible by the model",
    "low_ssr": "as dark as the liver though 10 mm or more",
    "truly_non_avid": "not avid at any size (T₉₅)",
    "less_avid_than_others": "less avid than the other lesions",
    "near_focus": "PET focus nearby, beyond the tolerance",
    "near_lesion": "MRI lesion nearby, beyond the tolerance",
    "dome_offset": "liver domes apart",
    "dome": "in the dome",
    "subcapsular": "near the capsule",
    "outside_pet": "outside the PET's field of view",
    "long_interval": "long interval",
    "therapy": "therapy between or before",
    "steatosis": "fatty liver on CT",
    "technical_short_uptake": "short uptake time",
    "technical_long_uptake": "long uptake time",
    "technical_low_activity": "low injected activity",
    "background": "high liver uptake",
    "registration_rigid_only": "doubtfully registered",
    "registration_failed": "not registered",
    "benign_on_mr": "benign on MRI",
    "noise": "near the noise",
    "psf_fit": "size from a fit with the image's blur",
    "psf_fit_contrast_free": "size from a fit with the image's blur, contrast free",
    "diameter_below_resolution": "size below the PET's resolution",
    "at_liver_border": "at the liver's border",
    "beside_bile": "beside bile, which may be what is seen",
    "beyond_liver_mask": "mostly outside the liver's outline as segmented",
    "pet_absent": "not on PET",
    "pet_expected_invisible": "not on PET, as expected of its size",
    "pet_indeterminate": "not on PET, which proves nothing",
    "pet_not_evaluable": "cannot be judged on PET",
}
DASH = "–"
#: Journals print no smaller p value.
LEAST_P = 0.001
#: No liver is longer than this; an interval that goes beyond is open for every purpose.
LIVER_MM = 300


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage."""
    return DASH if value is None else f"{100 * value:.{digits}f} %"


def number(value: Any, digits: int = 1) -> str:
    """A number with a fixed count of decimals, a proper minus sign; a dash where there is none."""
    if value is None or value == "":
        return DASH
    return f"{float(value):.{digits}f}".replace("-", "−")


def bounds(interval: Sequence[float | None] | None, digits: int = 1) -> str:
    """An interval of fractions in percent."""
    if not interval or None in interval:
        return DASH
    low, high = interval
    return f"{100 * (low or 0.0):.{digits}f}–{100 * (high or 0.0):.{digits}f}"


def plain_bounds(interval: Sequence[float | None] | None, digits: int = 2) -> str:
    """An interval of ratios or lengths, three figures or more: "26.1 to 68.7"."""
    if not interval or None in interval:
        return DASH
    return " to ".join(significant(value, digits) for value in interval)


def significant(value: float | None, digits: int = 2) -> str:
    """A ratio: fixed decimals, but never fewer than three figures for one below 1."""
    if value is None:
        return DASH
    if value != 0 and abs(value) < 1:
        return f"{value:#.3g}".replace("-", "−")
    return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}f}").replace("-", "−")


def chance(value: float | None) -> str:
    """A model's probability, never rounded to certainty: "< 1 %", "> 99 %"."""
    return DASH if value is None else said_percent(value)


def ends(interval: Sequence[float]) -> str:
    """The interval of a coefficient of agreement: "0.63 to 0.93"; nothing for none."""
    return " to ".join(number(v, 2) for v in interval)


def interval_mm(interval: Any) -> str:
    """An interval of sizes, or the word that says why there is none; a bound beyond a liver's length is said so."""
    if isinstance(interval, str):
        return interval
    if not interval or None in interval:
        return DASH
    low, high = interval
    return f"{low:.1f}–{high:.1f}" if high <= LIVER_MM else f"{low:.1f} to more than {LIVER_MM}"


def size_range(label: str) -> str:
    """A bin of sizes in words: "[0, 6) mm" is "< 6 mm", "[6, 10) mm" is "6 to < 10 mm"."""
    found = re.fullmatch(r"\[([\d.]+), ([\d.]+|∞)\) mm", label)
    if found is None:
        return label
    low, high = found.groups()
    if high == "∞":
        return f"≥ {low} mm"
    return f"< {high} mm" if low == "0" else f"{low} to < {high} mm"


def counted(found: Mapping[str, int]) -> str:
    """Levels with numbers and shares, the most frequent first: "F 4 (67 %), M 2 (33 %)"; one level has no share."""
    whole = sum(found.values())
    rows = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {n}" + (f" ({percent(n / whole, 0)})" if len(rows) > 1 else "") for name, n in rows)


def p_value(value: float | None) -> str:
    """A p value as journals print it: "p = 0.023", "p < 0.001"."""
    if value is None:
        return "p not stated"
    if value < LEAST_P:
        return f"p < {LEAST_P}"
    return "p > 0.999" if value > 1 - LEAST_P else f"p = {value:.3f}"


def unbroken(text: str) -> str:
    """The text with its percentages and intervals held together, so that no line ends within "33 %" or "87.1–97.3"."""
    return re.sub(r"(?<=\d) (?=%|mm\b)", "\u00a0", re.sub(r"(?<=\d)–(?=\d)", "\u2060–\u2060", text))


def days(value: Any) -> str:
    """A signed interval in days with a proper minus sign."""
    if value is None or value == "":
        return DASH
    return f"{int(float(value)):+d}".replace("-", "−").replace("+0", "0")


def human(code: Any) -> str:
    """A code as words: underscores become spaces, several codes a list."""
    if isinstance(code, list | tuple):
        code = ";".join(str(c) for c in code)
    return str(code if code is not None else "").replace(";", ", ").replace("_", " ") or DASH


def words(codes: Any) -> str:
    """Codes of reasons or flags in a reader's words; one without an entry as its own words."""
    if codes is None or codes == "":
        return DASH
    several = codes.split(";") if isinstance(codes, str) else [str(c) for c in codes]
    return ", ".join(WORDS.get(code) or _mimic(code) for code in several) or DASH


def noted(text: str) -> str:
    """A note on a pair whose leading code ("pet-ac: ...") is put in words."""
    code, colon, rest = text.partition(": ")
    return WORDS[code][:1].upper() + WORDS[code][1:] + colon + rest if colon and code in WORDS else text


def _mimic(code: str) -> str:
    """ "spill_in:right_kidney" says whose activity it may be."""
    kind, _, organ = code.partition(":")
    return f"possible spill-in from {human(organ)}" if kind == "spill_in" and organ else human(code)


def cause(code: Any) -> str:
    """A cause code in words."""
    return CAUSES.get(str(code), human(code))


def method_words(method: str) -> str:
    """An interval's method without brackets: "Korn–Graubard, clustered"."""
    return METHOD_NAMES.get(method, human(method)).replace(" (", ", ").replace(")", "")


def _lesion_headline(concordance: Mapping[str, Any]) -> str:
    """What a table of lesions alone says."""
    found = concordance["lesion_level"]["sensitivity"]
    if found["value"] is None:
        return "No lesion could be judged on PET/CT."
    interval = found["intervals"].get(concordance.get("headline_interval", "korn_graubard"))
    level = f"{100 * concordance.get('confidence_level', 0.95):g} % CI"
    return (
        f"SSR-PET/CT showed {found['k']:,} of {found['n']:,} lesions on liver MRI: {percent(found['value'])} "
        f"({level} {bounds(interval or found['intervals'].get('clopper_pearson'))}) in {found['clusters']:,} patients."
    )


def headline(concordance: Mapping[str, Any]) -> str:
    """The study's result in one sentence, with cluster-robust intervals."""
    counts, estimates = concordance["counts"], concordance["estimates"]
    judged = sum(counts[key] for key in ("tp", "fp", "fn", "tn"))
    readers = concordance.get("readers")
    if readers and readers["said"] and not concordance.get("pairs", judged):
        return " ".join(readers["said"][:3])
    if not any(counts.values()) and (concordance.get("lesion_level") or {}).get("lesions"):
        return _lesion_headline(concordance)
    if judged == 0:
        return "No pair could be judged: see the flow diagram and the list of pairs for the reasons."
    parts: list[str] = []
    for name in ("sensitivity", "specificity"):
        estimate = estimates[name]
        if estimate["value"] is not None:
            robust = estimate["intervals"].get(concordance.get("headline_interval", "korn_graubard"))
            interval = bounds(robust or estimate["intervals"].get("clopper_pearson"))
            level = f"{100 * concordance.get('confidence_level', 0.95):g} % CI "
            parts.append(f"{name} {percent(estimate['value'])} ({level if not parts else ''}{interval})")
    found = " and ".join(parts) if parts else "no estimate possible"
    patients = f" of {concordance['patients']:,} patients" if concordance.get("patients") else ""
    return (
        f"Against liver MRI, SSR-PET/CT had {found}. Of {concordance.get('pairs', judged):,} pairs{patients}, "
        f"{judged:,} could be judged: {counts['fn']} false negative, {counts['fp']} false positive; "
        f"{counts['not_evaluable']} not evaluable, {counts['indeterminate']} indeterminate."
    )
