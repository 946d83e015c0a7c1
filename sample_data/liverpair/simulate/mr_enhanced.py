"""A T2 series as one Enhanced MR Image object: geometry in functional groups, frames out of order."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from pydicom.dataset import Dataset

from liverpair.core.volume import Volume
from liverpair.simulate.mr_dicom import DESCRIPTIONS, MINUTES
from liverpair.simulate.objects import Examination, FileNames, base_dataset, ds, save, set_pixels

__all__ = ["write_enhanced_mr"]

ENHANCED_MR_STORAGE = "1.2.840.10008.5.1.4.1.1.4.1"


def _item(**attributes: object) -> Dataset:
    data = Dataset()
    for keyword, value in attributes.items():
        setattr(data, keyword, value)
    return data


def _shared(image: Volume, thickness_mm: float) -> Dataset:
    """Functional groups common to all frames (PS3.3 C.7.6.16)."""
    spacing, direction = image.grid.spacing, image.grid.direction
    measures = _item(
        SliceThickness=ds(thickness_mm),
        SpacingBetweenSlices=ds(spacing[2]),
        PixelSpacing=[ds(spacing[1]), ds(spacing[0])],
    )
    orientation = _item(ImageOrientationPatient=[ds(v) for v in (*direction[:, 0], *direction[:, 1])])
    rescale = _item(RescaleIntercept=ds(0), RescaleSlope=ds(1), RescaleType="US")
    timing = _item(RepetitionTime=ds(2200), FlipAngle=ds(90), EchoTrainLength=80)
    return _item(
        PixelMeasuresSequence=[measures],
        PlaneOrientationSequence=[orientation],
        PixelValueTransformationSequence=[rescale],
        MRTimingAndRelatedParametersSequence=[timing],
        MREchoSequence=[_item(EffectiveEchoTime=84.0)],
    )


def _frame(image: Volume, k: int, when: str) -> Dataset:
    position = image.grid.to_world((0, 0, k))
    content = _item(
        StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1], FrameAcquisitionDateTime=when
    )
    return _item(
        PlanePositionSequence=[_item(ImagePositionPatient=[ds(v) for v in position])], FrameContentSequence=[content]
    )


def write_enhanced_mr(
    exam: Examination, vendor: str, role: str, image: Volume, thickness_mm: float, names: FileNames, number: int
) -> str:
    """Write one MR volume as one multi-frame object; returns its Series Instance UID.

    The frames are interleaved (every second slice first), as many scanners acquire and store them.
    """
    when = exam.start + timedelta(minutes=MINUTES[role])
    data = base_dataset(exam, ENHANCED_MR_STORAGE, "MR", role, number, DESCRIPTIONS[vendor][role], when)
    data.ImageType = ["ORIGINAL", "PRIMARY", "T2", "NONE"]
    data.PixelPresentation, data.VolumetricProperties = "MONOCHROME", "VOLUME"
    data.VolumeBasedCalculationTechnique, data.ComplexImageComponent = "NONE", "MAGNITUDE"
    data.AcquisitionContrast, data.ContentQualification = "T2", "RESEARCH"
    data.MagneticFieldStrength, data.ProtocolName = 1.5, DESCRIPTIONS[vendor][role]
    data.FrameOfReferenceUID, data.PositionReferenceIndicator = exam.frame_uid, ""
    data.PatientPosition, data.InstanceNumber = "HFS", 1
    stamp = when.strftime("%Y%m%d%H%M%S.%f")
    data.AcquisitionDateTime, data.AcquisitionNumber = stamp, 1
    data.ContentDate, data.ContentTime = stamp[:8], stamp[8:]
    slices = [*range(0, image.grid.shape[2], 2), *range(1, image.grid.shape[2], 2)]
    data.SharedFunctionalGroupsSequence = [_shared(image, thickness_mm)]
    data.PerFrameFunctionalGroupsSequence = [_frame(image, k, stamp) for k in slices]
    frames = np.clip(np.round(image.values[:, :, slices].transpose(2, 1, 0)), 0, 4095).astype(np.uint16)
    set_pixels(data, frames[0], signed=False, bits_stored=12)
    data.NumberOfFrames, data.PixelData = len(slices), frames.astype("<u2").tobytes()
    save(data, names.next(role), (exam.key, role, 0), exam.equipment.implicit_vr)
    return str(data.SeriesInstanceUID)
