"""What stays of a processed pair: the record in case.json that the evaluation reads, and its provenance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from liverpair.core.errors import LiverpairError
from liverpair.core.lesion import Lesion, Modality, Nature
from liverpair.core.provenance import fingerprint, plain, version
from liverpair.core.study import MatchedPair, StudyPair
from liverpair.dicom.records import Stack
from liverpair.dicom.resolution import filter_fwhm_mm
from liverpair.evaluate.calls import ImageCall, image_call, is_countable
from liverpair.evaluate.match import lesion_diameter_mm
from liverpair.flow.config import Settings, settings_fingerprint
from liverpair.flow.engine import WorkerDiedError
from liverpair.flow.lesions import why_not_evaluable
from liverpair.flow.scanner import describe_scanner
from liverpair.flow.tables import Row

__all__ = ["case_record", "failure_record", "lesion_row", "provenance_record"]


def lesion_row(pair_id: str, lesion: Lesion) -> Row:
    """The row of lesions.csv."""
    m = lesion.measurement
    low, high = m.diameter_ci_mm or (None, None)
    place = lesion.centre_lps if lesion.centre_lps is not None else (None, None, None)
    return {
        "pair_id": pair_id, "lesion_id": lesion.lesion_id, "modality": lesion.modality.value,
        "x_mm": place[0], "y_mm": place[1], "z_mm": place[2],
        "native_x_mm": lesion.native_lps[0], "native_y_mm": lesion.native_lps[1], "native_z_mm": lesion.native_lps[2],
        "long_axis_mm": m.long_axis_mm, "short_axis_mm": m.short_axis_mm,
        "equivalent_diameter_mm": m.equivalent_diameter_mm, "diameter_ci_low_mm": low, "diameter_ci_high_mm": high,
        "volume_ml": m.volume_ml, "suv_max": m.suv_max, "suv_mean": m.suv_mean, "suv_peak": m.suv_peak, "tlr": m.tlr,
        "z": lesion.z, "confidence": lesion.confidence, "matched_lesion_id": lesion.matched,
        "match_distance_mm": lesion.match_distance_mm, "flags": lesion.flags,
    }  # fmt: skip


def _calls(matched: MatchedPair, settings: Settings) -> dict[str, ImageCall]:
    """The two image verdicts; neither looks at the other examination."""
    found = {}
    for name, modality in (("mr", Modality.MR), ("pet", Modality.PET)):
        refusal = why_not_evaluable(matched.segmented, modality)
        found[name] = image_call(matched.lesions, modality, refusal, settings.calls)
    return found


def _liver_hu(matched: MatchedPair) -> float | None:
    """Median CT density of the liver in HU."""
    aligned = matched.segmented.aligned
    if aligned.images.ct is None or aligned.ct_liver is None:
        return None
    return float(np.median(aligned.images.ct.values[aligned.ct_liver.values]))


def _lesion_facts(lesion: Lesion, settings: Settings) -> dict[str, Any]:
    """What the evaluation needs of a lesion beyond its row."""
    return {
        "nature": lesion.nature.value,
        "countable": is_countable(lesion, settings.calls),
        "is_metastasis": lesion.nature is Nature.METASTASIS,
        "is_credible": lesion.nature is Nature.METASTASIS and lesion.confidence >= settings.calls.uncertain_confidence,
        "diameter_mm": lesion_diameter_mm(lesion) or None,
        "uncertainty_mm": lesion.uncertainty_mm,
        "reason": lesion.reason,
    }


def case_record(matched: MatchedPair, key: str, recipe: str, settings: Settings) -> dict[str, Any]:
    """case.json of a pair that went through to its end."""
    segmented = matched.segmented
    aligned = segmented.aligned
    pair = aligned.images.pair
    scanner = None
    if aligned.images.pet is not None and segmented.reference is not None and segmented.pet is not None:
        width = filter_fwhm_mm(aligned.images.provenance.get("pet_kernels", ()))
        scanner = describe_scanner(aligned.images.pet, segmented.reference, segmented.pet, width, settings.scanner)
    record = {
        "pair_id": pair.pair_id,
        "key": key,
        "recipe": recipe,
        "status": "done",
        "version": version(),
        "refusals": {role: {"reason": r, "detail": d} for role, (r, d) in aligned.images.refusals.items()},
        "quality": aligned.quality,
        "registration": aligned.verdict,
        "reference": segmented.reference,
        "liver_hu": _liver_hu(matched),
        "scanner": scanner,
        "detectors": {
            "pet": segmented.pet.facts if segmented.pet else None,
            "mr": segmented.mr.facts if segmented.mr else None,
        },
        "lesions": [lesion_row(pair.pair_id, lesion) for lesion in matched.lesions],
        "lesion_facts": {lesion.lesion_id: _lesion_facts(lesion, settings) for lesion in matched.lesions},
        "calls": _calls(matched, settings),
        "burden": matched.facts["burden"],
        "links": matched.facts["links"],
        "unmatched": matched.facts["unmatched"],
        "evidence": matched.facts["evidence"],
        "location": matched.facts["location"],
    }
    return dict(plain(record))


def failure_record(pair: StudyPair, key: str, recipe: str, error: Exception) -> dict[str, Any]:
    """case.json of a pair whose processing broke: the kind of error and, where it is ours, its words.

    An unexpected error's own text may quote a header; only its type is written here, the rest stays in the log.
    """
    ours = isinstance(error, LiverpairError | WorkerDiedError)
    said = {"type": type(error).__name__, "detail": str(error) if ours else "see logs/liverpair.log"}
    return {
        "pair_id": pair.pair_id,
        "key": key,
        "recipe": recipe,
        "status": "failed",
        "version": version(),
        "error": said,
    }


def provenance_record(
    matched: MatchedPair, stacks: Mapping[str, Stack], key: str, settings: Settings
) -> dict[str, Any]:
    """provenance.json: which series, which SUV rule, which settings and version made this case."""
    images = matched.segmented.aligned.images
    return {
        "pair_id": images.pair.pair_id,
        "version": version(),
        "key": key,
        "settings_sha256": settings_fingerprint(settings),
        "series": {
            role: {
                "series_uid": stack.series.series_uid,
                "study_uid": stack.series.study_uid,
                "part": dict(stack.key),
                "frames": len(stack.instances),
                "headers_sha256": fingerprint([dict(i.header) for i in stack.instances]),
            }
            for role, stack in sorted(stacks.items())
        },
        "images": plain(images.provenance),
    }
