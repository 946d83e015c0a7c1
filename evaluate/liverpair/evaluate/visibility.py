"""What PET says of one MRI lesion, in one word and one sentence: shown, absent, expected invisible, or not known.

A lesion without a partner on PET is never just "PET-negative" (lesions.md): it is *absent* where PET would have shown
even a weakly avid one, *expected invisible* where size, noise and blur hide what this patient's lesions usually take
up, *not evaluable* where its place cannot be judged, and *indeterminate* where none of these can be said.
"""

from __future__ import annotations

from liverpair.evaluate.detectability import Avidity, DetectabilitySettings, Prediction

__all__ = ["PET_STATUSES", "pet_status", "visibility_sentence"]

#: Every status a reference lesion can have, in the order of the sentence above.
PET_STATUSES = ("shown", "absent", "expected_invisible", "indeterminate", "not_evaluable")


def pet_status(detected: bool | None, prediction: Prediction | None) -> str:
    """The status of a reference lesion; ``detected`` is None where PET could not be judged there."""
    if detected:
        return "shown"
    if detected is None or prediction is None:
        return "not_evaluable"
    return "absent" if prediction.verdict == "truly_non_avid" else prediction.verdict


def visibility_sentence(
    status: str, prediction: Prediction | None, avidity: Avidity | None, settings: DetectabilitySettings | None = None
) -> str:
    """Why a lesion has its status, with the numbers that decided."""
    settings = settings or DetectabilitySettings()
    if status == "shown":
        return "A PET focus is matched to it."
    if prediction is None:
        return "Its place could not be judged."
    bound = "" if prediction.t95 is None else f"the PET there bounds its uptake to {prediction.t95:.1f} times the liver"
    if status == "absent":
        return f"Not avid: {bound} (below {settings.non_avid_t95:g}); its size does not explain the miss."
    usual = "" if avidity is None else f"this {avidity.source}'s lesions take up {avidity.median:.1f} times the liver"
    if status == "expected_invisible" and prediction.p_detect is not None:
        return f"Too small to be shown: {usual}, and of its size {100 * prediction.p_detect:.0f} % of those are seen."
    if status == "not_evaluable":
        return f"Not evaluable: {prediction.reason or 'its place could not be judged'}."
    said = [bound, usual, f"P(detect) {prediction.p_detect:.2f}" if prediction.p_detect is not None else ""]
    return f"Indeterminate: {'; '.join(x for x in said if x) or prediction.reason}."
