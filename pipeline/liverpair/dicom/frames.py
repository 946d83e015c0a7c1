"""Flatten an enhanced multi-frame object into one classic data set per frame (PS3.3 C.7.6.16)."""

from __future__ import annotations

from typing import Any, Final

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag

__all__ = ["frame_datasets", "is_enhanced"]

#: Functional-group keywords whose classic counterpart has another name.
CLASSIC_NAMES: Final = {
    "EffectiveEchoTime": "EchoTime",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDuration": "ActualFrameDuration",
    "NominalCardiacTriggerDelayTime": "TriggerTime",
    "FrameType": "ImageType",
    "InversionTimes": "InversionTime",
    "PulseSequenceName": "SequenceName",
}
#: Enhanced PET states each correction as YES/NO (PS3.3 C.8.22.4); classic PET lists codes (C.8.9.1).
CORRECTIONS: Final = {
    "DecayCorrected": "DECY",
    "AttenuationCorrected": "ATTN",
    "ScatterCorrected": "SCAT",
    "RandomsCorrected": "RAN",
    "DeadTimeCorrected": "DTIM",
    "NonUniformRadialSamplingCorrected": "RADL",
    "SensitivityCalibrated": "DCAL",
    "DetectorNormalizationCorrection": "NORM",
}
#: UCUM codes of a Real World Value Map that have a classic PET unit (CID 84).
UCUM_TO_PET_UNITS: Final = {
    "Bq/ml": "BQML",
    "Bq/mL": "BQML",
    "{counts}": "CNTS",
    "{counts}/s": "CPS",
    "{propcounts}": "PROPCNTS",
    "{SUVbw}g/ml": "GML",
    "g/ml{SUVbw}": "GML",
    "g/ml": "GML",
}
FRAMES: Final = "PerFrameFunctionalGroupsSequence"
SHARED: Final = "SharedFunctionalGroupsSequence"
#: Classic images keep these as attributes of the image itself; a value from a functional group replaces it.
WHOLE_GROUPS: Final = ("RealWorldValueMappingSequence",)
#: Modalities whose frames are images to select and stack; a SEG's frames belong to its own reader.
IMAGE_MODALITIES: Final = ("MR", "CT", "PT", "NM")


def is_enhanced(dataset: Dataset) -> bool:
    """Whether the object's frames are described by functional groups and are images."""
    return dataset.get("Modality") in IMAGE_MODALITIES and bool(dataset.get(FRAMES))


def _absorb(target: Dataset, group_item: Dataset) -> None:
    """Copy the attributes of every functional group in ``group_item`` to the top level of ``target``.

    Vendors repeat attributes in private groups (Philips 2005,140F), at times with other values: these only fill gaps.
    """
    standard = {attribute.tag for element in group_item if not element.tag.is_private for attribute in _first(element)}
    for element in group_item:
        if element.VR != "SQ" or not element.value:
            continue
        if element.keyword in WHOLE_GROUPS:
            target.add(element)
            continue
        for attribute in _first(element):
            if element.tag.is_private and (attribute.tag in standard or attribute.tag in target):
                continue
            target.add(attribute)
            classic = CLASSIC_NAMES.get(attribute.keyword)
            if classic and not attribute.is_empty:
                value = attribute.value
                _put(target, classic, value[0] if classic == "InversionTime" and attribute.VM > 1 else value)


def _put(target: Dataset, keyword: str, value: Any) -> None:
    """Give ``target`` an element of its own: assigning to the attribute would change the one all frames share."""
    tag = Tag(keyword)
    target.add(DataElement(tag, dictionary_VR(tag), value))


def _first(element: DataElement) -> Dataset:
    """The first item of a sequence; an empty data set for anything else."""
    return element.value[0] if element.VR == "SQ" and element.value else Dataset()


def _split_moments(target: Dataset) -> None:
    """Give the frame the classic Acquisition Date and Time of its own FrameAcquisitionDateTime."""
    moment = str(target.get("FrameAcquisitionDateTime") or "")
    if len(moment) >= 14:
        _put(target, "AcquisitionDateTime", moment)
        _put(target, "AcquisitionDate", moment[:8])
        _put(target, "AcquisitionTime", moment[8:].split("+")[0].split("-")[0])


def _classic_pet(target: Dataset) -> None:
    """Say corrections and units the way classic PET does."""
    if target.get("Modality") != "PT":
        return
    if "CorrectedImage" not in target:
        stated = [code for keyword, code in CORRECTIONS.items() if target.get(keyword) == "YES"]
        if stated:
            _put(target, "CorrectedImage", stated)
    if not target.get("Units"):
        for mapping in target.get("RealWorldValueMappingSequence") or Sequence():
            for code in mapping.get("MeasurementUnitsCodeSequence") or Sequence():
                unit = UCUM_TO_PET_UNITS.get(str(code.get("CodeValue", "")))
                if unit:
                    _put(target, "Units", unit)


def frame_datasets(dataset: Dataset) -> list[Dataset]:
    """One data set per frame with classic keywords; a frame's own groups win over the shared ones.

    ``dataset`` is left as it was. Elements are shared between the results, so treat them as read-only.
    """
    base = Dataset()
    for element in dataset:
        if element.keyword not in (FRAMES, SHARED):
            base.add(element)
    for item in dataset.get(SHARED) or Sequence():
        _absorb(base, item)
    frames = []
    earlier = dataset.get("ConcatenationFrameOffsetNumber")  # frames in the objects before this one (C.7.6.16.2.2.4)
    for number, item in enumerate(dataset[FRAMES].value, start=1 + (earlier if isinstance(earlier, int) else 0)):
        frame = Dataset()
        frame.update(base)
        _absorb(frame, item)
        _split_moments(frame)
        _classic_pet(frame)
        _put(frame, "InstanceNumber", number)
        frames.append(frame)
    return frames
