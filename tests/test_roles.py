"""Series roles from header facts of five vendors: physics first, words in three languages, siblings for the phases."""

from __future__ import annotations

import pytest
from liverpair.dicom.coverage import covers_liver
from liverpair.dicom.split import split

from tests.vendor_headers import classified_roles, ct, dwi, joined, pet, series, t1, t2


def role(record) -> str:
    (only,) = classified_roles([record])[record.series_uid]
    return only


# --- PET and CT --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({}, "pet-ac"),
        ({"CorrectedImage": ["DECY", "RADL", "ATTN", "SCAT", "DTIM", "RAN", "NORM"], "Units": "CNTS"}, "pet-ac"),
        ({"CorrectedImage": ["NORM", "DTIM", "DECY", "RAN"], "SeriesDescription": "PET WB (NAC)"}, "pet-nac"),
        ({"CorrectedImage": ["NORM", "DTIM", "DECY"], "SeriesDescription": "PET AC"}, "pet-nac"),
        (
            {"CorrectedImage": None, "AttenuationCorrectionMethod": None, "SeriesDescription": "PET Uncorrected"},
            "pet-nac",
        ),
        ({"CorrectedImage": None, "AttenuationCorrectionMethod": "NONE"}, "pet-nac"),
        ({"CorrectedImage": None, "AttenuationCorrectionMethod": "CT-derived mu-map"}, "pet-ac"),
        ({"CorrectedImage": None, "AttenuationCorrectionMethod": None}, "pet-nac"),
        ({"CorrectedImage": None, "AttenuationCorrectionMethod": None, "AttenuationCorrected": "YES"}, "pet-ac"),
        ({"CorrectedImage": None, "AttenuationCorrected": "NO"}, "pet-nac"),
        ({"SeriesDescription": "PET unkorrigiert"}, "pet-nac"),
        ({"SeriesDescription": "TEP non corrigée"}, "pet-nac"),
        ({"SeriesDescription": "MIP PET"}, "derived"),
        ({"SeriesType": ["WHOLE BODY", "REPROJECTION"]}, "derived"),
        ({"ImageType": ["DERIVED", "PRIMARY", "MIP"]}, "derived"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "secondary"),
        ({"SeriesDescription": "PET AC fused CT"}, "derived"),
    ],
)
def test_pet_roles_follow_corrected_image_then_method_then_words(header, expected) -> None:
    assert role(pet("1", **header)) == expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ({}, "ct"),
        ({"SeriesDescription": "CT Abdomen pv 3.0 B30f", "ContrastBolusAgent": "Ultravist"}, "ct"),
        ({"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"], "slices": 1}, "localizer"),
        ({"SeriesDescription": "Topogram 0.6 T20f", "slices": 1}, "localizer"),
        ({"SeriesDescription": "Scout", "slices": 2}, "localizer"),
        ({"SeriesDescription": "Surview"}, "localizer"),
        (
            {"ImageType": ["DERIVED", "SECONDARY", "OTHER", "CT_SOM5 PROT"], "SeriesDescription": "Patient Protocol"},
            "report",
        ),
        ({"SeriesDescription": "Dose Report", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}, "report"),
        ({"ImageType": ["DERIVED", "SECONDARY", "MPR"], "SeriesDescription": "CT cor"}, "derived"),
        ({"SeriesDescription": "PreMonitoring"}, "other"),
        ({"SeriesDescription": "SmartPrep Series"}, "other"),
        ({"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67"}, "report"),
        ({"Modality": "RTSTRUCT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3"}, "derived"),
        ({"Modality": "NM", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.20"}, "other"),
    ],
)
def test_ct_roles_and_what_is_no_volume(header, expected) -> None:
    assert role(ct("1", **header)) == expected


# --- MR sequences one by one -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "timing"),
    [
        ("t2_haste_tra_bh", {"RepetitionTime": 1400.0, "EchoTime": 92.0, "EchoTrainLength": 200}),
        ("t2_blade_fs_tra_p3_trig", {}),
        ("Ax T2 FSE RTr FS", {"Manufacturer": "GE MEDICAL SYSTEMS", "RepetitionTime": 9230.0, "EchoTime": 88.0}),
        (
            "Ax SSFSE BH",
            {"Manufacturer": "GE MEDICAL SYSTEMS", "EchoTime": 182.0, "EchoTrainLength": 1, "RepetitionTime": 1100.0},
        ),
        ("T2W_SPAIR_RT", {"Manufacturer": "Philips Medical Systems", "RepetitionTime": 1850.0, "EchoTime": 70.0}),
        ("MultiVane XD RT", {"Manufacturer": "Philips Medical Systems", "EchoTime": 90.0}),
        (
            "AX T2",
            {
                "Manufacturer": "TOSHIBA",
                "RepetitionTime": 15200.0,
                "EchoTime": 78.0,
                "EchoTrainLength": 76,
                "SequenceVariant": ["NONE"],
            },
        ),
        ("FASE2D FS RT", {"Manufacturer": "CANON_MEC", "EchoTime": 80.0}),
        ("t2_fse_tra_fs_trig", {"Manufacturer": "UIH", "ScanningSequence": ["SE"], "EchoTime": 87.3}),
        ("", {}),
        ("", {"ScanningSequence": ["RM"], "EchoTrainLength": 24}),
        ("T2 TIRM", {"ScanningSequence": ["IR", "SE"], "InversionTime": 160.0, "EchoTime": 70.0}),
    ],
)
def test_t2_weighting_is_recognised_by_its_late_spin_echo(description, timing) -> None:
    assert role(t2("1", description, **timing)) == "mr-t2"


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (dwi("1", 800.0), "mr-dwi"),
        (dwi("1", 50.0), "other"),
        (dwi("1", 0.0), "other"),
        (dwi("1", None), "mr-dwi"),
        (
            dwi("1", None, "ep2d_diff_b50_b800_tra_p2_ADC", ImageType=["DERIVED", "PRIMARY", "DIFFUSION", "ADC"]),
            "mr-adc",
        ),
        (
            dwi(
                "1",
                600.0,
                "Ax DWI b600 RTr",
                Manufacturer="GE MEDICAL SYSTEMS",
                ImageType=["ORIGINAL", "PRIMARY", "OTHER"],
            ),
            "mr-dwi",
        ),
        (
            dwi("1", None, "Apparent Diffusion Coefficient (mm2/s)", ImageType=["DERIVED", "SECONDARY", "COMBINED"]),
            "mr-adc",
        ),
        (dwi("1", None, "Exponential Apparent Diffusion Coefficient", ImageType=["DERIVED", "SECONDARY"]), "derived"),
        (
            dwi(
                "1",
                800.0,
                "dDWI_SPAIR_RT",
                Manufacturer="Philips Medical Systems",
                ScanningSequence=["SE"],
                ImageType=["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
            ),
            "mr-dwi",
        ),
        (
            dwi(
                "1",
                None,
                "dADC",
                Manufacturer="Philips Medical Systems",
                ScanningSequence=["SE"],
                ImageType=["DERIVED", "PRIMARY", "ADC", "ADC", "UNSPECIFIED"],
            ),
            "mr-adc",
        ),
        (
            dwi(
                "1",
                500.0,
                "ADC",
                Manufacturer="TOSHIBA",
                ScanningSequence=["SE"],
                ImageType=["DERIVED", "SECONDARY", "ADC"],
            ),
            "mr-adc",
        ),
        (
            dwi(
                "1",
                1000.0,
                "DWI b1000",
                Manufacturer="TOSHIBA",
                ScanningSequence=["SE"],
                SequenceName="SEEPI2D",
                ImageType=["ORIGINAL", "PRIMARY"],
            ),
            "mr-dwi",
        ),
        (
            dwi(
                "1",
                800.0,
                "dwi_epi_b50_800_tra",
                Manufacturer="UIH",
                ImageType=["ORIGINAL", "PRIMARY", "DIFFUSION", "TRACEW"],
            ),
            "mr-dwi",
        ),
        (dwi("1", 800.0, "", ImageType=["ORIGINAL", "PRIMARY"], ScanningSequence=["SE", "EP"]), "mr-dwi"),
        (dwi("1", None, "Diffusion b=800", ImageType=["ORIGINAL", "PRIMARY"]), "mr-dwi"),
        (dwi("1", None, "Carte ADC", ImageType=["DERIVED", "SECONDARY"]), "mr-adc"),
    ],
    ids=lambda v: v if isinstance(v, str) else str(v.first("SeriesDescription", "no description")),
)
def test_diffusion_and_its_maps(record, expected) -> None:
    assert role(record) == expected


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (
            series(
                "1", SeriesDescription="localizer", ScanningSequence=["GR"], EchoTime=5.0, RepetitionTime=8.6, slices=9
            ),
            "localizer",
        ),
        (
            series(
                "1",
                SeriesDescription="3-Plane Loc SSFSE",
                EchoTime=80.0,
                RepetitionTime=1000.0,
                ScanningSequence=["SE"],
            ),
            "localizer",
        ),
        (
            series("1", SeriesDescription="Survey BH", EchoTime=80.0, RepetitionTime=1000.0, ScanningSequence=["SE"]),
            "localizer",
        ),
        (
            series("1", SeriesDescription="Lokalisator", EchoTime=2.0, RepetitionTime=5.0, ScanningSequence=["GR"]),
            "localizer",
        ),
        (t1("1", "090000", "t1_vibe_fs_tra_SUB"), "derived"),
        (t1("1", "090000", "", ImageType=["DERIVED", "PRIMARY", "MPR", "ND", "SUB"]), "derived"),
        (t1("1", "090000", "Subtraktion art - nativ"), "derived"),
        (t1("1", "090000", "MIP", ImageType=["DERIVED", "SECONDARY", "MIP"]), "derived"),
        (t1("1", "090000", "ASSET calibration", vendor="ge"), "other"),
        (t1("1", "090000", "mDIXON-Quant_FatFrac", vendor="philips"), "other"),
        (t1("1", "090000", "MRAC_dixon"), "other"),
        (t2("1", "t2_space_cor_MRCP", EchoTime=703.0), "other"),
        (t2("1", "MRCP 3D HR", EchoTime=650.0), "other"),
        (
            series(
                "1",
                SeriesDescription="trufi_cor_bh",
                ScanningSequence=["GR"],
                SequenceVariant=["SS", "SK"],
                EchoTime=1.6,
                RepetitionTime=3.9,
                FlipAngle=60,
            ),
            "other",
        ),
        (
            series(
                "1",
                SeriesDescription="Ax FIESTA",
                ScanningSequence=["GR"],
                SequenceVariant=["SS", "SK"],
                EchoTime=1.6,
                RepetitionTime=3.9,
                FlipAngle=50,
            ),
            "other",
        ),
        (
            series(
                "1",
                ScanningSequence=["GR"],
                SequenceVariant=["SK", "SS"],
                EchoTime=1.9,
                RepetitionTime=4.3,
                FlipAngle=60,
            ),
            "other",
        ),
        (
            series("1", SeriesDescription="T2* map", ScanningSequence=["GR"], EchoTime=9.0, RepetitionTime=200.0),
            "other",
        ),
    ],
    ids=lambda v: v if isinstance(v, str) else str(v.first("SeriesDescription", "no description")),
)
def test_localizers_maps_and_other_sequences_are_no_weighting_of_the_liver(record, expected) -> None:
    assert role(record) == expected


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips", "canon", "toshiba", "uih"])
def test_a_lone_t1_volume_without_contrast_is_native_for_every_vendor(vendor: str) -> None:
    assert role(t1("1", "090000", vendor=vendor)) == "mr-t1-native"


@pytest.mark.parametrize(
    ("description", "vendor", "expected"),
    [
        ("t1_vibe_fs_tra_bh_20min", "siemens", "mr-hbp"),
        ("t1_vibe_dixon_tra_hep", "siemens", "mr-hbp"),
        ("t1_vibe_fs_tra_HBP", "siemens", "mr-hbp"),
        ("t1 vibe hepatobiliär", "siemens", "mr-hbp"),
        ("T1 VIBE tra Spätphase Primovist", "siemens", "mr-hbp"),
        ("T1 VIBE tra Spätphase", "siemens", "other"),
        ("Ax LAVA 20 MIN DELAY", "ge", "mr-hbp"),
        ("Ax LAVA-Flex HEPATOBILIARY", "ge", "mr-hbp"),
        ("eTHRIVE 20min", "philips", "mr-hbp"),
        ("e-THRIVE_hepatobil", "philips", "mr-hbp"),
        ("T1 EG 3D hépatobiliaire", "philips", "mr-hbp"),
        ("T1 FS phase tardive hépatocytaire", "siemens", "mr-hbp"),
        ("Quick3D HBP", "canon", "mr-hbp"),
        ("gre_quick3d_tra_fs_15min", "uih", "mr-hbp"),
        ("t1_vibe_fs_tra_p4_bh_post20", "siemens", "mr-hbp"),
        ("T1 VIBE 20'", "siemens", "mr-hbp"),
        ("T1 EG hépatospécifique", "ge", "mr-hbp"),
        ("eTHRIVE 25 sec", "philips", "mr-arterial"),
        ("THRIVE 70 s", "philips", "mr-portal"),
        ("t1_vibe_fs_tra_nativ", "siemens", "mr-t1-native"),
        ("Ax LAVA PRE", "ge", "mr-t1-native"),
        ("THRIVE sans inj", "philips", "mr-t1-native"),
        ("t1_vibe_fs_tra_art", "siemens", "mr-arterial"),
        ("LAVA Arterial Phase", "ge", "mr-arterial"),
        ("eTHRIVE arteriell", "philips", "mr-arterial"),
        ("t1_vibe_fs_tra_pv", "siemens", "mr-portal"),
        ("t1_vibe_fs_tra_portalvenös", "siemens", "mr-portal"),
        ("Ax LAVA Portal Venous", "ge", "mr-portal"),
        ("T1 temps portal", "philips", "mr-portal"),
        ("t1_vibe_fs_tra_3min", "siemens", "other"),
        ("t1_vibe equilibrium", "siemens", "other"),
    ],
)
def test_the_phase_of_a_t1_volume_by_its_name(description, vendor, expected) -> None:
    assert role(t1("1", "090000", description, vendor=vendor)) == expected


# --- phases against the siblings ---------------------------------------------------------------------------------

CLOCK = ["090000", "090230", "090305", "090500", "092200"]


def dynamic(vendor: str, **header) -> list:
    """Native, arterial, portal, transitional and a volume 20 min later, all without a description."""
    return [t1(str(k), clock, vendor=vendor, **header) for k, clock in enumerate(CLOCK)]


@pytest.mark.parametrize("vendor", ["siemens", "ge", "philips", "canon", "uih"])
def test_phases_without_words_follow_the_stated_injection(vendor: str) -> None:
    roles = classified_roles(dynamic(vendor, ContrastBolusStartTime="090205", ContrastBolusAgent="Primovist"))
    assert [roles[str(k)][0] for k in range(5)] == ["mr-t1-native", "mr-arterial", "mr-portal", "other", "mr-hbp"]


def test_phases_without_words_and_injection_follow_their_order() -> None:
    roles = classified_roles(dynamic("siemens"))
    assert [roles[str(k)][0] for k in range(5)] == ["mr-t1-native", "mr-arterial", "mr-portal", "other", "mr-hbp"]


def test_a_labelled_arterial_phase_dates_the_unlabelled_ones() -> None:
    names = ["", "t1 art", "", "", ""]
    records = [t1(str(k), clock, name) for k, (clock, name) in enumerate(zip(CLOCK, names, strict=True))]
    roles = classified_roles(records)
    assert [roles[str(k)][0] for k in range(5)] == ["mr-t1-native", "mr-arterial", "mr-portal", "other", "mr-hbp"]


def test_an_extracellular_agent_has_no_hepatobiliary_phase() -> None:
    roles = classified_roles(dynamic("siemens", ContrastBolusStartTime="090205", ContrastBolusAgent="Gadovist"))
    assert roles["4"] == ["other"]


def test_the_order_of_the_series_does_not_matter() -> None:
    records = dynamic("ge", ContrastBolusStartTime="090205")
    assert classified_roles(records) == classified_roles(records[::-1])


def test_a_dynamic_series_in_one_series_is_read_phase_by_phase() -> None:
    phases = [t1("1", clock, "Ax LAVA multiphase", vendor="ge", ContrastBolusStartTime="090205") for clock in CLOCK[:4]]
    late = t1("2", CLOCK[4], "Ax LAVA", vendor="ge", ContrastBolusStartTime="090205", ContrastBolusAgent="Eovist")
    roles = classified_roles([joined(*phases), late])
    assert roles["1"] == ["mr-t1-native", "mr-arterial", "mr-portal", "other"]
    assert roles["2"] == ["mr-hbp"]


def test_dixon_volumes_keep_the_water_and_set_the_other_parts_aside() -> None:
    parts = {"W": "WATER", "F": "FAT", "in": "IN_PHASE", "opp": "OPP_PHASE"}
    records = [
        t1(name, "092200", f"t1_vibe_dixon_tra_hep_{name}", ImageType=["DERIVED", "PRIMARY", "DIXON", image_type])
        for name, image_type in parts.items()
    ]
    assert classified_roles(records) == {"W": ["mr-hbp"], "F": ["other"], "in": ["other"], "opp": ["other"]}


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("WATER: Ax LAVA Flex 20min", "mr-hbp"),
        ("FAT: Ax LAVA Flex 20min", "other"),
        ("InPhase: Ax LAVA Flex 20min", "other"),
        ("OutPhase: Ax LAVA Flex 20min", "other"),
        ("t1_vibe_dixon_tra_20min_W", "mr-hbp"),
        ("t1_vibe_dixon_tra_20min_F", "other"),
        ("t1_vibe_dixon_tra_20min_opp", "other"),
        ("t1_vibe_dixon_tra_20min_in", "other"),
    ],
)
def test_dixon_parts_are_told_by_their_names_where_image_type_is_silent(description, expected) -> None:
    assert role(t1("1", "092200", description)) == expected


def test_a_multi_b_series_gives_diffusion_only_at_high_b() -> None:
    record = joined(*(dwi("1", b) for b in (0.0, 50.0, 400.0, 800.0)))
    assert classified_roles([record])["1"] == ["other", "other", "mr-dwi", "mr-dwi"]


def test_an_abbreviated_protocol_with_a_liver_agent_has_its_hepatobiliary_phase() -> None:
    assert role(t1("1", "092200", "T1 VIBE FS", ContrastBolusAgent="Gadoxetate disodium")) == "mr-hbp"


# --- coverage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "covers"),
    [
        ({}, True),
        ({"BodyPartExamined": "BRAIN"}, False),
        ({"BodyPartExamined": "KNEE"}, False),
        ({"BodyPartExamined": None, "StudyDescription": "MRT Schädel"}, False),
        ({"BodyPartExamined": None, "StudyDescription": "IRM du genou"}, False),
        ({"BodyPartExamined": "PELVIS", "StudyDescription": "MR Prostata"}, False),
        ({"BodyPartExamined": None, "StudyDescription": "MRT Oberbauch"}, True),
        ({"BodyPartExamined": None, "StudyDescription": "IRM du foie"}, True),
        ({"BodyPartExamined": "BRAIN", "ProtocolName": "Leber Primovist"}, True),
        ({"BodyPartExamined": None, "StudyDescription": "MRT Schädel und Abdomen", "ProtocolName": "kopf t2"}, False),
        ({"BodyPartExamined": None, "StudyDescription": "neuroendocrine tumour follow-up"}, True),
        ({"BodyPartExamined": None}, True),
        ({"BodyPartExamined": None, "Rows": 160, "Columns": 160}, False),
        ({"slices": 8}, False),
    ],
)
def test_liver_coverage_by_words_and_field_of_view(header, covers) -> None:
    (stack,) = split(t2("1", "t2_tse_tra", **header))
    assert covers_liver(stack).covers is covers


def test_a_late_phase_without_agent_or_clock_is_not_called_hepatobiliary() -> None:
    assert role(t1("1", "092200", "t1_vibe_fs_tra_delayed")) == "other"
    assert role(t1("1", "092200", "t1_vibe_fs_tra_late", StudyDescription="MRT Leber Primovist")) == "mr-hbp"


def test_a_volume_after_contrast_at_an_unknown_delay_is_neither_native_nor_portal() -> None:
    assert role(t1("1", "092200", "T1 VIBE FS post KM")) == "other"
    assert role(t1("1", "092200", "T1 VIBE FS", ContrastBolusAgent="Dotarem")) == "other"


@pytest.mark.parametrize(
    ("description", "slices", "covers"),
    [
        ("PET WB head to thigh", 200, True),
        ("PET Skull Base to mid Thigh", 60, True),
        ("PET brain", 60, False),
        ("PET Kopf", 60, False),
        ("PET Kopf bis Oberschenkel", 60, True),
        ("legs", 60, False),
    ],
)
def test_a_trunk_is_recognised_by_its_height_or_its_two_ends(description, slices, covers) -> None:
    (stack,) = split(pet("1", SeriesDescription=description, slices=slices))
    assert covers_liver(stack).covers is covers
