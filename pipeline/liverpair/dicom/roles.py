"""Say what each stack is for the study of the liver, from header facts and its siblings, with the reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from liverpair.dicom import vocabulary as say
from liverpair.dicom.coverage import is_axial
from liverpair.dicom.geometry import has_plane
from liverpair.dicom.records import Stack
from liverpair.dicom.role_types import RoleDecision, SeriesRole
from liverpair.dicom.roles_mr import classify_mr
from liverpair.dicom.words import described, has_word, image_types, number, says, values_of

__all__ = ["RoleDecision", "SeriesRole", "classify", "classify_study"]


#: SOP classes that are screen captures whatever their Modality says (Secondary Capture, all variants).
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
REPORT_CLASSES = ("1.2.840.10008.5.1.4.1.1.88.", "1.2.840.10008.5.1.4.1.1.104.")
REPORT_MODALITIES = frozenset({"SR", "DOC", "PR", "KO", "RTRECORD", "PLAN", "AU"})
OVERLAY_MODALITIES = frozenset({"SEG", "RTSTRUCT", "REG", "RTDOSE", "RTPLAN", "RWV", "FID", "STAIN"})
LOCALIZER_TYPES = frozenset({"LOCALIZER", "SCOUT", "TOPOGRAM", "TOPO", "SCANOGRAM", "SURVEY"})
DERIVED_TYPES = frozenset(
    {"MIP", "MINIP", "PROJECTION IMAGE", "PROJECTION", "VOLUME RENDERING", "SUBTRACT", "SUBTRACTION", "SUB",
     "3D RENDER", "CPR", "RADIAL", "MPR3D", "FUSED", "FUSION", "COMPOSED", "OVERLAY", "VRT", "MNIP",
     "MINIMUM", "REGISTERED", "RESAMPLED", "PARAMETRIC"}
)  # fmt: skip
#: Units of PET (PS3.3 C.8.9.1.1.3) that no concentration has.
PARAMETRIC_UNITS = frozenset({"UMOLML", "MLMINML", "MLMING", "MLML", "MGMINML", "UMOLMINML"})
#: Reformations: other planes cut from a volume that is stored as well.
REFORMATTED_TYPES = frozenset({"REFORMATTED", "MPR", "CURVED"})


def classify(stack: Stack) -> RoleDecision:
    """The role of one stack without its siblings."""
    return classify_study([stack])[0]


def classify_study(stacks: Sequence[Stack]) -> tuple[RoleDecision, ...]:
    """Roles of the stacks of one study, in the order given; contrast phases are decided against their siblings."""
    decisions: dict[int, RoleDecision] = {}
    rest = []
    for index, stack in enumerate(stacks):
        decided = _not_a_volume(stack) or _by_modality(stack)
        if decided is None:
            rest.append(index)
        else:
            decisions[index] = decided
    for index, decision in zip(rest, classify_mr([stacks[i] for i in rest]), strict=True):
        decisions[index] = decision
    return tuple(decisions[i] for i in range(len(stacks)))


def _modality(stack: Stack) -> str:
    return str(stack.first("Modality", "")).strip().upper()


def _not_a_volume(stack: Stack) -> RoleDecision | None:
    """Reports, overlays, screen captures, localizers and pictures made of other pictures."""
    sop_class, modality = str(stack.first("SOPClassUID", "")), _modality(stack)
    types, text = image_types(stack), described(stack, "SeriesDescription", "ProtocolName")
    own = described(stack, "SeriesDescription")
    if sop_class.startswith(REPORT_CLASSES) or modality in REPORT_MODALITIES:
        return RoleDecision(SeriesRole.REPORT, f"a document, not an image (modality {modality or 'absent'})")
    if modality in OVERLAY_MODALITIES:
        return RoleDecision(SeriesRole.DERIVED, f"made from other images (modality {modality})")
    if says(own, say.REPORT) or any("DOSE" in t or t == "PATIENT PROTOCOL" for t in types):
        return RoleDecision(SeriesRole.REPORT, "a dose report or protocol page by its description or Image Type")
    captured = sop_class == SECONDARY_CAPTURE or sop_class.startswith(SECONDARY_CAPTURE + ".")
    if captured or modality in ("OT", "SC", "XC") or any("SCREEN" in t for t in types):
        return RoleDecision(SeriesRole.SECONDARY, "a screen capture by its storage class, modality or Image Type")
    if types & LOCALIZER_TYPES or says(own, say.LOCALIZER) or _is_localizer_protocol(own, text):
        return RoleDecision(SeriesRole.LOCALIZER, "a localizer by its Image Type or description")
    if modality == "MR" and (has_word(own, "locator") or _lies_in_three_planes(stack)):
        return RoleDecision(SeriesRole.LOCALIZER, "a localizer: its slices lie in three planes")
    if "MOSAIC" in types:
        return RoleDecision(
            SeriesRole.DERIVED, "a mosaic: all slices tiled into one picture, which has no geometry here"
        )
    made = types & DERIVED_TYPES or (modality == "MR" and types & REFORMATTED_TYPES)
    if made or says(own, say.DERIVED):
        return RoleDecision(
            SeriesRole.DERIVED, "a projection, reformation, subtraction or fusion by its Image Type or description"
        )
    if modality in ("MR", "CT", "PT") and (number(stack, "SamplesPerPixel") or 1) > 1:
        return RoleDecision(SeriesRole.DERIVED, "a colour picture: its values measure nothing")
    return None


def _lies_in_three_planes(stack: Stack) -> bool:
    """Whether the stack's series holds slices along all three axes of the body."""
    if "ImageOrientationPatient" not in stack.key:
        return False
    axes = set()
    for instance in stack.series.instances:
        plane = instance.get("ImageOrientationPatient", ())
        if len(plane) == 6:
            normal = np.abs(np.cross(plane[:3], plane[3:]))
            axes.add(int(np.argmax(normal)))
    return len(axes) == 3


def _is_localizer_protocol(own: str, text: str) -> bool:
    """A series without its own description whose protocol is a localizer."""
    return not own.strip() and says(text, say.LOCALIZER)


def _by_modality(stack: Stack) -> RoleDecision | None:
    """PET and CT roles; None for MR, which needs its siblings."""
    modality = _modality(stack)
    if modality == "MR":
        return None
    if modality == "PT":
        return _pet_role(stack)
    if modality == "CT":
        return _ct_role(stack)
    return RoleDecision(SeriesRole.OTHER, f"modality {modality or 'absent'} is not used")


def _is_cut_anew(stack: Stack) -> bool:
    """Whether the slices of a tomograph that acquires axial ones lie in another plane."""
    return any(has_plane(instance) for instance in stack.instances) and not is_axial(stack)


def _pet_role(stack: Stack) -> RoleDecision:
    if image_types(stack) & REFORMATTED_TYPES or _is_cut_anew(stack):
        return RoleDecision(SeriesRole.DERIVED, "a reformation: PET is reconstructed in axial slices")
    units = str(stack.first("Units", "")).strip().upper()
    if says(described(stack, "SeriesDescription"), say.PARAMETRIC) or units in PARAMETRIC_UNITS:
        return RoleDecision(SeriesRole.DERIVED, "a map of a kinetic model, not of activity")
    series_type = [str(v).upper() for v in values_of(stack, "SeriesType")]
    if "REPROJECTION" in series_type:
        return RoleDecision(SeriesRole.DERIVED, "Series Type says reprojection")
    if {"DYNAMIC", "GATED"} & set(series_type) and len(stack.key) > 0:
        return RoleDecision(SeriesRole.OTHER, "one time or gate of a dynamic or gated PET, not the whole acquisition")
    corrected = {str(v).strip().upper() for v in values_of(stack, "CorrectedImage")}
    method = str(stack.first("AttenuationCorrectionMethod", "")).strip().upper()
    stated = str(stack.first("AttenuationCorrected", "")).strip().upper()
    named_nac = says(described(stack, "SeriesDescription"), say.UNCORRECTED)
    if corrected and "ATTN" not in corrected:
        return RoleDecision(SeriesRole.PET_NAC, "Corrected Image lacks ATTN")
    if stated == "NO" or (not corrected and method in ("NONE", "NO")):
        return RoleDecision(SeriesRole.PET_NAC, "the header says that attenuation is not corrected")
    if "ATTN" in corrected or stated == "YES":
        if named_nac:
            return RoleDecision(
                SeriesRole.PET_NAC, "called uncorrected although Corrected Image holds ATTN: not trusted"
            )
        return RoleDecision(SeriesRole.PET_AC, "Corrected Image holds ATTN")
    if named_nac:
        return RoleDecision(SeriesRole.PET_NAC, "called uncorrected by its description")
    if method:
        return RoleDecision(SeriesRole.PET_AC, "Attenuation Correction Method is stated")
    if says(described(stack, "SeriesDescription"), say.CORRECTED):
        return RoleDecision(SeriesRole.PET_AC, "called attenuation-corrected by its description; no attribute says it")
    return RoleDecision(SeriesRole.PET_NAC, "nothing in the header says that attenuation was corrected")


def _ct_role(stack: Stack) -> RoleDecision:
    text = described(stack, "SeriesDescription")
    types = image_types(stack)
    if says(text, say.CT_HELPER):
        return RoleDecision(SeriesRole.OTHER, "bolus timing or an attenuation map by its description")
    if types & (REFORMATTED_TYPES | {"AVERAGE"}) or says(text, say.CT_REFORMATTED):
        return RoleDecision(SeriesRole.DERIVED, "a reformation by its Image Type or description")
    if _is_cut_anew(stack):
        return RoleDecision(SeriesRole.DERIVED, "a reformation: its slices are not axial, as CT acquires them")
    return RoleDecision(SeriesRole.CT, "an axial CT volume")
