"""The methods paragraph of the report, made from the settings and the facts of the cases that really ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverpair.evaluate.report.wording import METHOD_NAMES
from liverpair.flow.config import Settings

__all__ = ["TITLE", "methods_paragraphs", "statistics_paragraph"]

#: Names the design and both examinations (STARD 2015, item 1).
TITLE = "Diagnostic accuracy of SSR-PET/CT for liver metastases of neuroendocrine tumours, against liver MRI"


def _span(values: list[float], digits: int) -> str:
    """Median and range of a list."""
    if not values:
        return "not available"
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def statistics_paragraph(result: Mapping[str, Any]) -> str:
    """How the estimates and their intervals were made; the same for images and for bare tables."""
    headline = METHOD_NAMES.get(result["headline_interval"], result["headline_interval"])
    if not result.get("pairs", 1):
        return _lesion_statistics(result, headline)
    return (
        "Statistics. The unit is the study pair. Pairs with an indeterminate or missing verdict on either side are in "
        "no estimate; bounds of worst and best case show what they could change. The headline interval is "
        f"{headline}; clustered intervals treat the patient as the cluster, and Clopper–Pearson intervals stand beside "
        "them. The bootstrap drew "
        f"{result['bootstrap_replicates']} samples of patients (seed {result['seed']}). Agreement is Cohen's κ and its "
        "prevalence-adjusted form (PABAK); false negatives and false positives are compared by the exact McNemar test "
        "and by Obuchowski's for clustered pairs, subgroups by a cluster-robust Wald test, flags by odds ratios with "
        "log intervals."
        + _size_curve(result)
        + " Tests are two-sided; subgroups, causes and flags were not adjusted for multiplicity."
        + _readers(result)
    )


def _lesion_statistics(result: Mapping[str, Any], headline: str) -> str:
    """The same for a table of lesions or of readings alone."""
    return (
        f"Statistics. There are no verdicts on pairs. The headline interval is {headline}; clustered ones treat the "
        f"patient as the cluster. The bootstrap drew {result['bootstrap_replicates']} samples of patients (seed "
        f"{result['seed']})." + _size_curve(result) + _readers(result)
    )


def _size_curve(result: Mapping[str, Any]) -> str:
    """How the curve of detection by size was made, where there were lesions."""
    if not result.get("size_curve"):
        return ""
    return (
        " The size curve is a logistic regression on the logarithm of the diameter with patient-clustered covariance; "
        "its 50 % and 90 % points have delta and Fieller intervals."
    )


def _readers(result: Mapping[str, Any]) -> str:
    """How agreement between readers was measured, where there were readings."""
    if not result.get("readers"):
        return ""
    return (
        " Agreement between readers is of each reader's first reading, in percent and as Cohen's κ (for three readers "
        "and more also Fleiss' κ and Gwet's AC1) over present, uncertain and absent; the weighted κ counts a step to "
        "uncertain half. Their intervals are percentiles of the same bootstrap."
    )


def _pet_search(settings: Settings, scanners: list[Mapping[str, Any]]) -> str:
    """How PET foci were found, by the method that the settings name."""
    pet = settings.pet
    if pet.method == "fixed-suv":
        return f"PET foci were connected regions of the liver with SUV ≥ {pet.fixed_suv:g}."
    if pet.method == "percist-like":
        return (
            f"PET foci were connected regions of the liver with SUV ≥ {pet.percist_factor:g} times the liver "
            f"reference's mean + {pet.percist_sd:g} SD."
        )
    outlined = {
        "percent-max": f"{pet.percent_of_max:g} % of their maximum",
        "liver-quantile": f"the liver's mean + {pet.liver_to_max:g} times their excess over it",
    }.get(pet.method, "the background-corrected fraction of their plateau that a blurred sphere of their size has")
    return (
        f"PET foci were local maxima above a threshold solved from {pet.false_foci:g} expected false foci a liver in "
        f"noise of the measured smoothness (median {_span([s['threshold'] for s in scanners], 1)} SD), delineated at "
        f"{outlined}."
    )


def _liver_search(settings: Settings) -> str:
    """Who found the livers, and what the two examinations corrected of each other."""
    names = {
        "classical": "without learned weights",
        "given": "by masks that were given",
        "totalsegmentator": "by TotalSegmentator",
        "nnunet": "by an nnU-Net model",
    }
    ct, mr = settings.backend.ct, settings.backend.mr
    said = f"on CT and MRI {names[ct]}" if ct == mr else f"on CT {names[ct]} and on MRI {names[mr]}"
    corrected = (
        " Where the registered images showed that a mask of our own held bile or another organ, or had lost a lobe, "
        "it was corrected."
        if "classical" in (ct, mr)
        else ""
    )
    return f"The liver was segmented {said}.{corrected}"


def _reports(result: Mapping[str, Any]) -> list[str]:
    """How reports became labels, where reports were given."""
    if not any(source["source"] == "reports" for source in result.get("sources") or ()):
        return []
    return [
        "Reports. Medical reports in German and English were labelled for hepatic metastases by scoped rules that heed "
        "sections, negation, certainty, organ and time, and linked to their studies by accession number or by patient, "
        "modality and date."
    ]


def methods_paragraphs(
    settings: Settings, result: Mapping[str, Any], records: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """One paragraph a stage, in the order in which the stages ran."""
    cases = list(records.values())
    references = [r["reference"] for r in cases if r["reference"]]
    scanners = [r["scanner"] for r in cases if r["scanner"]]
    verdicts = Counter(r["registration"] for r in cases)
    sources = Counter(s["fwhm_source"] for s in scanners)
    said = ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in sorted(verdicts.items())) or "no case was processed"
    suv, cov = [r["mean"] for r in references], [r["sd"] / r["mean"] for r in references]
    return [
        "Selection. Retrospective: SSR-PET/CT and liver MRI of an archive were recognised from DICOM headers and "
        f"paired within {settings.cohort.window_words}. All pairs of the archive that meet this are in the study, "
        "without further choice; every study that is in no pair is listed with its reason.",
        "SUV. SUVbw was computed slice by slice from the header; a series that would have needed a guess was refused.",
        f"Liver and registration. {_liver_search(settings)} The MRI was registered "
        "to the CT by a squared-local-correlation free-form deformation initialised from the liver masks. The two "
        "livers were then compared part by part; a part of more than "
        f"{100 * settings.agreement.largest_share:.0f} % that only one examination has failed the registration. "
        f"By a doubtful registration (rigid only) only larger lesions are matched, by a failed one none ({said}).",
        f"Liver background. Reference regions gave a liver SUVmean of median {_span(suv, 1)} and a coefficient of "
        f"variation of {_span(cov, 3)}.",
        f"Detection. {_pet_search(settings, scanners)} MRI lesions "
        "were found by the weakest Hessian curvature over scales and judged on all sequences of the examination. "
        "Neither detector saw the other examination. Foci within the reach of a hot neighbouring organ are flagged, "
        "not removed; where three or more lesions run into one another the burden is stated beside the count.",
        "Matching. Lesions were assigned one to one within a gate that grows with size and the registration's local "
        "uncertainty, longer cranio-caudally; several lesions in one focus (and several foci in one lesion) are "
        "recorded as merged (split).",
        f"Detectability. Recovery coefficients assumed {_span([s['fwhm_mm'] for s in scanners], 1)} mm FWHM "
        f"(source: {', '.join(sorted(sources)) or 'none'}). P(detect) is the chance that a blurred sphere of the "
        "patient's usual uptake passes the detector's own threshold in this PET's noise; it is given without breathing "
        f"and for {settings.scanner.free_breathing_mm:g} mm of it. A lesion that PET does not show is called absent, "
        "expected invisible, indeterminate or not evaluable.",
        *_reports(result),
        f"Verdicts. The reference verdict is MRI's {settings.calls.reference_source}, the index verdict PET's "
        f"{settings.calls.index_source}; a consensus reading overrides both. On images, an examination is positive "
        f"when a lesion reaches a confidence of {settings.calls.present_confidence:g} and indeterminate from "
        f"{settings.calls.uncertain_confidence:g}; the settings fix both limits for the whole study.",
        statistics_paragraph(result),
    ]
