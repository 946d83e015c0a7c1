"""The methods paragraph of the report, made from the settings and the facts of the cases that really ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from liverpair.flow.config import Settings

__all__ = ["methods_paragraphs"]


def _span(values: list[float], digits: int) -> str:
    """Median and range of a list."""
    if not values:
        return "not available"
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


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
        "Selection. SSR-PET/CT and liver MRI were recognised from DICOM headers and paired within "
        f"{settings.cohort.window_days} days. Every study that is in no pair is listed with its reason.",
        "SUV. SUVbw was computed slice by slice from the header; a series that would have needed a guess was refused.",
        "Liver and registration. The liver was segmented on CT and MRI without learned weights; the MRI was registered "
        "to the CT by a squared-local-correlation free-form deformation initialised from the liver masks. A "
        f"registration that was not judged usable matched no lesion by itself ({said}).",
        f"Liver background. Reference regions gave a liver SUVmean of median {_span(suv, 1)} and a coefficient of "
        f"variation of {_span(cov, 3)}.",
        "Detection. PET foci were local maxima above a threshold solved from the expected number of false foci in "
        f"noise of the measured smoothness (median {_span([s['threshold'] for s in scanners], 1)} SD); MRI lesions "
        "were found by the weakest Hessian curvature over scales and judged on all sequences of the examination. "
        "Neither detector saw the other examination.",
        "Matching. Lesions were assigned one to one within a gate that grows with size and the registration's local "
        "uncertainty.",
        f"Detectability. Recovery coefficients assumed {_span([s['fwhm_mm'] for s in scanners], 1)} mm FWHM "
        f"(source: {', '.join(sorted(sources)) or 'none'}).",
        f"Statistics. The unit is the study pair; the reference verdict is MRI's {settings.calls.reference_source}, "
        f"the index verdict PET's {settings.calls.index_source}, and a consensus reading overrides both. Clustered "
        "intervals treat the patient as the cluster; the bootstrap drew "
        f"{result['bootstrap_replicates']} samples of patients (seed {result['seed']}).",
    ]
