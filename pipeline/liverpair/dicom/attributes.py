"""Which DICOM attributes the index keeps, by keyword (PS3.6), grouped by the question they answer."""

from __future__ import annotations

from typing import Final

__all__ = ["PASSING", "PRIVATE_B_VALUE_TAGS", "WANTED"]

#: Who, what and when: identity of patient, study, series and object.
IDENTITY: Final = (
    "SpecificCharacterSet",
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "IssuerOfPatientID",
    "AccessionNumber",
    "StudyID",
    "SeriesNumber",
    "InstanceNumber",
    "AcquisitionNumber",
    "PatientIdentityRemoved",
    "LongitudinalTemporalInformationModified",
    "PatientSex",
    "PatientAge",
    "PatientWeight",
    "PatientSize",
)
#: Dates and times, as stored (DA, TM, DT strings).
TIMES: Final = (
    "StudyDate",
    "StudyTime",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "AcquisitionDateTime",
    "ContentDate",
    "ContentTime",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "TimezoneOffsetFromUTC",
    "DecayCorrectionDateTime",
    "FrameAcquisitionDateTime",
    "FrameReferenceDateTime",
)
#: What kind of image it is: words and codes that the choice of series rests on.
KIND: Final = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "SoftwareVersions",
    "StationName",
    "MagneticFieldStrength",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "AnatomicRegionSequence",
    "ProcedureCodeSequence",
    "RequestedProcedureDescription",
    "ImageType",
    "FrameType",
    "ImageComments",
    "DerivationDescription",
    "DerivationCodeSequence",
    "BurnedInAnnotation",
    "ConversionType",
    "ViewCodeSequence",
    "SeriesType",
    "ReferencedSeriesSequence",
    "VolumetricProperties",
    "VolumeBasedCalculationTechnique",
    "PresentationIntentType",
    "ContentLabel",
    "ContentDescription",
    "SegmentationType",
    "StructureSetLabel",
)
#: Where the frame is and how large its pixels are.
GEOMETRY: Final = (
    "Rows",
    "Columns",
    "NumberOfFrames",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceThickness",
    "SpacingBetweenSlices",
    "SliceLocation",
    "GantryDetectorTilt",
    "PatientPosition",
    "StackID",
    "InStackPositionNumber",
    "DimensionIndexValues",
    "ConcatenationUID",
    "InConcatenationNumber",
    "InConcatenationTotalNumber",
    "ConcatenationFrameOffsetNumber",
    "NumberOfSlices",
    "ImageIndex",
)
#: How to turn stored pixels into values.
PIXELS: Final = (
    "TransferSyntaxUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "LossyImageCompression",
    "LossyImageCompressionRatio",
    "RealWorldValueMappingSequence",
)
#: MR contrast: sequence, timing, diffusion, phase.
MR: Final = (
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "SequenceName",
    "PulseSequenceName",
    "EchoPulseSequence",
    "AcquisitionContrast",
    "ComplexImageComponent",
    "EchoTime",
    "EchoNumbers",
    "EchoTrainLength",
    "RepetitionTime",
    "FlipAngle",
    "InversionTime",
    "ImagingFrequency",
    "DiffusionBValue",
    "DiffusionDirectionality",
    "DiffusionGradientOrientation",
    "TemporalPositionIdentifier",
    "NumberOfTemporalPositions",
    "TemporalResolution",
    "TriggerTime",
    "NominalCardiacTriggerDelayTime",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "ContrastBolusStartTime",
    "ContrastBolusStopTime",
    "ContrastBolusRoute",
    "ContrastBolusVolume",
    "ContrastBolusTotalDose",
    "ContrastBolusIngredient",
    "SpectrallySelectedSuppression",
    "ReceiveCoilName",
)
#: CT acquisition.
CT: Final = ("KVP", "ConvolutionKernel", "ReconstructionDiameter", "ExposureTime", "XRayTubeCurrent")
#: PET quantities: units, corrections, timing and the injected dose.
PET: Final = (
    "Units",
    "SUVType",
    "CountsSource",
    "DecayCorrection",
    "DecayFactor",
    "CorrectedImage",
    "DecayCorrected",
    "AttenuationCorrected",
    "ScatterCorrected",
    "RandomsCorrected",
    "DeadTimeCorrected",
    "AttenuationCorrectionMethod",
    "RandomsCorrectionMethod",
    "ScatterCorrectionMethod",
    "ReconstructionMethod",
    "FrameReferenceTime",
    "ActualFrameDuration",
    "NumberOfTimeSlices",
    "NumberOfTimeSlots",
    "NumberOfRRIntervals",
    "TimeSliceVector",
    "Radiopharmaceutical",
    "RadiopharmaceuticalInformationSequence",
    "CollimatorType",
    "DoseCalibrationFactor",
)

#: Keywords of every attribute the index keeps; sequences are kept whole.
WANTED: Final[tuple[str, ...]] = IDENTITY + TIMES + KIND + GEOMETRY + PIXELS + MR + CT + PET
#: Read with the others but never kept: ``age`` turns them into something else as soon as a header is read.
PASSING: Final = ("PatientBirthDate",)

#: (group, element without its private block, creator or "" for any) of b-values outside (0018,9087).
#: Sources: Siemens and GE DICOM conformance statements; Philips "Imaging DD 001"; United Imaging (0065,xx09).
PRIVATE_B_VALUE_TAGS: Final = (
    (0x0019, 0x0C, "SIEMENS MR HEADER"),
    (0x0043, 0x39, "GEMS_PARM_01"),
    (0x2001, 0x03, "Philips Imaging DD 001"),
    (0x0065, 0x09, "Image Private Header"),
)
