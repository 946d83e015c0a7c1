"""Series of plain headers as scanners of five vendors write them: material for the tests of selection, no pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from liverpair.dicom.records import InstanceRecord, SeriesRecord

PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"

MANUFACTURERS = {
    "siemens": "SIEMENS",
    "ge": "GE MEDICAL SYSTEMS",
    "philips": "Philips Medical Systems",
    "canon": "CANON_MEC",
    "toshiba": "TOSHIBA",
    "uih": "UIH",
}


def series(
    uid: str, study: str = "S", patient: str = "P1", slices: int = 40, step: float = 5.0, **header: Any
) -> SeriesRecord:
    """An axial stack of ``slices`` headers; ``header`` values that are callables get the slice number."""
    common = {
        "SOPClassUID": MR_CLASS, "Modality": "MR", "StudyInstanceUID": study, "SeriesInstanceUID": uid,
        "PatientID": patient, "StudyDate": "20240310", "FrameOfReferenceUID": f"{study}.9", "Rows": 256, "Columns": 320,
        "PixelSpacing": [1.25, 1.25], "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "SliceThickness": step,
        "ImageType": ["ORIGINAL", "PRIMARY"],
    }  # fmt: skip
    common.update(header)
    instances = []
    for k in range(slices):
        own = {key: value(k) if callable(value) else value for key, value in common.items() if value is not None}
        own.setdefault("ImagePositionPatient", [-200.0, -160.0, -100.0 + k * step])
        own.setdefault("InstanceNumber", k + 1)
        own["SOPInstanceUID"] = f"{uid}.{k + 1}"
        instances.append(InstanceRecord(f"{uid}/{k}", None, own))
    return SeriesRecord(uid, study, patient, tuple(instances))


def joined(*parts: SeriesRecord) -> SeriesRecord:
    """One series made of several volumes (phases, b-values), renumbered as one."""
    first = parts[0]
    instances = []
    for part in parts:
        for instance in part.instances:
            header = {**instance.header, "SeriesInstanceUID": first.series_uid, "InstanceNumber": len(instances) + 1}
            instances.append(InstanceRecord(f"{first.series_uid}/{len(instances)}", None, header))
    return SeriesRecord(first.series_uid, first.study_uid, first.patient_id, tuple(instances))


def radiopharmaceutical(
    text: str | None = "68Ga-DOTATATE",
    half_life: float | None = 4057.74,
    nuclide: tuple[str, str, str] | None = ("C-131A3", "SRT", "^68^Gallium"),
    code: tuple[str, str, str] | None = None,
    dose: float = 1.5e8,
) -> list[dict[str, Any]]:
    """A Radiopharmaceutical Information Sequence in plain JSON."""
    item: dict[str, Any] = {"RadionuclideTotalDose": dose, "RadiopharmaceuticalStartTime": "090000"}
    if text is not None:
        item["Radiopharmaceutical"] = text
    if half_life is not None:
        item["RadionuclideHalfLife"] = half_life
    for keyword, triple in (("RadionuclideCodeSequence", nuclide), ("RadiopharmaceuticalCodeSequence", code)):
        if triple is not None:
            keys = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
            item[keyword] = [dict(zip(keys, triple, strict=True))]
    return [item]


def pet(uid: str, study: str = "PET", tracer: list[dict[str, Any]] | None = None, **header: Any) -> SeriesRecord:
    """A whole-body AC PET, 1 m high, unless told otherwise."""
    own = {
        "SOPClassUID": PET_CLASS, "Modality": "PT", "Units": "BQML", "DecayCorrection": "START", "Rows": 200,
        "Columns": 200, "PixelSpacing": [4.07, 4.07], "CorrectedImage": ["NORM", "DTIM", "ATTN", "SCAT", "DECY", "RAN"],
        "SeriesType": ["WHOLE BODY", "IMAGE"], "SeriesTime": "100000", "AcquisitionTime": "100000",
        "AcquisitionDate": "20240310", "AttenuationCorrectionMethod": "measured,AC CT",
        "RadiopharmaceuticalInformationSequence": tracer if tracer is not None else radiopharmaceutical(),
        "ImagePositionPatient": lambda k: [-405.0, -405.0, -500.0 + k * 5.0],
    }  # fmt: skip
    own.update(header)
    return series(uid, study, slices=int(own.pop("slices", 200)), step=5.0, **own)


def ct(uid: str, study: str = "PET", **header: Any) -> SeriesRecord:
    """The CT of a PET/CT, same height and frame of reference."""
    own = {
        "SOPClassUID": CT_CLASS, "Modality": "CT", "Rows": 512, "Columns": 512, "PixelSpacing": [1.37, 1.37],
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"], "AcquisitionTime": "095800",
        "AcquisitionDate": "20240310", "ConvolutionKernel": "B31f", "SeriesDescription": "CT WB 3.0 B31f",
        "ImagePositionPatient": lambda k: [-350.0, -350.0, -500.0 + k * 5.0],
    }  # fmt: skip
    own.update(header)
    return series(uid, study, slices=int(own.pop("slices", 200)), step=5.0, **own)


def t1(
    uid: str, time: str, description: str = "", study: str = "MR", vendor: str = "siemens", **header: Any
) -> SeriesRecord:
    """A fat-suppressed 3D spoiled gradient echo of the liver."""
    timing = {
        "siemens": (["GR"], ["SK", "SP"], 3.4, 1.3, 9, "*fl3d1"),
        "ge": (["GR"], ["SS", "SP", "SK"], 4.0, 1.9, 12, "efgre3d"),
        "philips": (["GR"], ["MP"], 3.6, 1.7, 10, ""),
        "canon": (["GR"], ["SP"], 5.4, 2.5, 12, "FFE3D_QUICK3D"),
        "toshiba": (["GR"], ["SP"], 5.4, 2.5, 12, "FFE3D"),
        "uih": (["GR"], ["SP", "SK"], 3.3, 1.5, 10, "gre_quick3d"),
    }[vendor]  # fmt: skip
    own = {
        "Manufacturer": MANUFACTURERS[vendor], "SeriesDescription": description or None, "AcquisitionTime": time,
        "AcquisitionDate": "20240310", "ScanningSequence": timing[0], "SequenceVariant": timing[1],
        "RepetitionTime": timing[2], "EchoTime": timing[3], "FlipAngle": timing[4], "SequenceName": timing[5] or None,
        "MRAcquisitionType": "3D", "ScanOptions": ["FS"], "BodyPartExamined": "LIVER", "ContrastBolusAgent": None,
    }  # fmt: skip
    own.update(header)
    return series(uid, study, slices=int(own.pop("slices", 64)), step=3.0, **own)


def t2(uid: str, description: str = "t2_tse_fs_tra_trig", study: str = "MR", **header: Any) -> SeriesRecord:
    """A T2-weighted fast spin echo of the liver."""
    own = {
        "Manufacturer": "SIEMENS", "SeriesDescription": description or None, "AcquisitionTime": "083000",
        "ScanningSequence": ["SE"], "SequenceVariant": ["SK", "SP"], "RepetitionTime": 3200.0, "EchoTime": 84.0,
        "FlipAngle": 150, "EchoTrainLength": 17, "MRAcquisitionType": "2D", "BodyPartExamined": "ABDOMEN",
    }  # fmt: skip
    own.update(header)
    return series(uid, study, slices=int(own.pop("slices", 36)), step=6.0, **own)


def dwi(
    uid: str,
    b: float | None = 800.0,
    description: str = "ep2d_diff_b50_400_800_TRACEW",
    study: str = "MR",
    **header: Any,
) -> SeriesRecord:
    """A diffusion-weighted EPI of the liver at one b-value."""
    own = {
        "Manufacturer": "SIEMENS", "SeriesDescription": description or None, "AcquisitionTime": "083500",
        "ScanningSequence": ["EP"], "SequenceVariant": ["SK", "SP"], "RepetitionTime": 6000.0, "EchoTime": 56.0,
        "FlipAngle": 90, "MRAcquisitionType": "2D", "DiffusionBValue": b, "BodyPartExamined": "ABDOMEN",
        "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW", "NORM", "DIS2D"],
    }  # fmt: skip
    own.update(header)
    return series(uid, study, slices=int(own.pop("slices", 40)), step=6.0, **own)


def classified_roles(records: Sequence[SeriesRecord]) -> dict[str, list[str]]:
    """Roles of every stack of a study, by series UID in stack order."""
    from liverpair.dicom.roles import classify_study
    from liverpair.dicom.split import split

    stacks = [stack for record in records for stack in split(record)]
    roles: dict[str, list[str]] = {}
    for stack, decision in zip(stacks, classify_study(stacks), strict=True):
        assert decision.reason
        roles.setdefault(stack.series.series_uid, []).append(decision.role.value)
    return roles
