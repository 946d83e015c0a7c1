"""What each tissue looks like in each image: HU, SUV relative to liver, MR signals and diffusivity.

CT values: HU at 120 kV, without contrast or in the late arterial (35 s) or portal venous (70 s) phase.
PET: uptake as a multiple of the healthy liver's for ⁶⁸Ga-SSR tracers (spleen and kidneys above liver, uncinate
process and adrenals avid, gallbladder and blood cold). MR signals in
arbitrary units with the contrast order of each sequence; ADC in 10⁻⁶ mm²/s.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["CT_PHASES", "PHASES", "TISSUES", "lesion_value", "tissue_table"]

#: Columns of the table below.
COLUMNS = ("ct", "pet", "mr-t1-native", "mr-hbp", "mr-t2", "mr-dwi", "mr-adc")
#: Fat-suppressed T1 and T2; DWI is the b = 800 s/mm² image.
TISSUES: Mapping[str, tuple[float, ...]] = {
    #                 CT     PET    T1    HBP   T2   DWI   ADC
    "air": (-1000.0, 0.00, 0.0, 0.0, 0.0, 0.0, 0.0),
    "couch": (30.0, 0.00, 0.0, 0.0, 0.0, 0.0, 0.0),
    "fat": (-105.0, 0.05, 95.0, 100.0, 95.0, 10.0, 150.0),
    "visceral_fat": (-98.0, 0.08, 100.0, 108.0, 100.0, 12.0, 180.0),
    "muscle": (54.0, 0.13, 230.0, 245.0, 75.0, 34.0, 1350.0),
    "bone": (420.0, 0.12, 60.0, 62.0, 40.0, 9.0, 300.0),
    "marrow": (165.0, 0.18, 120.0, 130.0, 95.0, 42.0, 500.0),
    "disc": (75.0, 0.08, 130.0, 135.0, 120.0, 22.0, 1400.0),
    "csf": (10.0, 0.05, 60.0, 60.0, 900.0, 14.0, 3000.0),
    "cord": (36.0, 0.06, 230.0, 235.0, 230.0, 110.0, 950.0),
    "lung": (-850.0, 0.06, 14.0, 15.0, 16.0, 4.0, 200.0),
    "heart": (44.0, 0.20, 215.0, 300.0, 150.0, 40.0, 1600.0),
    "blood": (43.0, 0.22, 150.0, 255.0, 45.0, 16.0, 1900.0),
    "spleen": (50.0, 2.50, 215.0, 285.0, 280.0, 235.0, 830.0),
    "kidney": (34.0, 2.90, 250.0, 430.0, 300.0, 165.0, 1900.0),
    "medulla": (31.0, 1.70, 200.0, 400.0, 360.0, 130.0, 1950.0),
    "urine": (4.0, 1.60, 80.0, 330.0, 850.0, 22.0, 2900.0),
    "adrenal": (25.0, 1.25, 220.0, 260.0, 190.0, 150.0, 1200.0),
    "pancreas": (38.0, 0.45, 300.0, 285.0, 170.0, 85.0, 1500.0),
    "uncinate": (38.0, 1.05, 300.0, 285.0, 170.0, 85.0, 1500.0),
    "stomach_wall": (42.0, 0.75, 210.0, 290.0, 150.0, 70.0, 1500.0),
    "stomach_content": (14.0, 0.20, 130.0, 130.0, 620.0, 40.0, 2600.0),
    "bowel_wall": (40.0, 0.55, 205.0, 280.0, 150.0, 75.0, 1500.0),
    "chyme": (22.0, 0.50, 170.0, 175.0, 450.0, 55.0, 2200.0),
    "fluid": (10.0, 0.30, 100.0, 100.0, 700.0, 28.0, 2800.0),
    "stool": (-30.0, 0.25, 240.0, 240.0, 130.0, 18.0, 1100.0),
    "gas": (-920.0, 0.12, 3.0, 3.0, 3.0, 1.0, 0.0),
    "liver": (56.0, 1.00, 320.0, 560.0, 120.0, 72.0, 1180.0),
    "portal_vein": (43.0, 0.55, 150.0, 250.0, 60.0, 14.0, 1900.0),
    "hepatic_vein": (42.0, 0.55, 145.0, 245.0, 62.0, 14.0, 1900.0),
    "gallbladder": (9.0, 0.10, 150.0, 330.0, 780.0, 24.0, 2800.0),
}
#: Lesions as (CT, T1 native, HBP, T2, DWI, ADC); the PET value is each lesion's own tumour-to-liver ratio.
LESIONS: Mapping[str, tuple[float, ...]] = {
    "metastasis": (40.0, 215.0, 225.0, 255.0, 205.0, 950.0),
    "cyst": (6.0, 75.0, 80.0, 900.0, 30.0, 2900.0),
    "haemangioma": (37.0, 160.0, 190.0, 620.0, 125.0, 1850.0),
}
#: T1 phases with extracellular contrast: tissues that differ from the native image (arterial, portal venous).
ENHANCEMENT: Mapping[str, tuple[float, float]] = {
    "heart": (420.0, 430.0),
    "blood": (620.0, 560.0),
    "spleen": (470.0, 460.0),
    "kidney": (560.0, 600.0),
    "medulla": (280.0, 520.0),
    "adrenal": (360.0, 380.0),
    "pancreas": (440.0, 380.0),
    "uncinate": (440.0, 380.0),
    "stomach_wall": (300.0, 340.0),
    "bowel_wall": (300.0, 340.0),
    "muscle": (235.0, 265.0),
    "liver": (345.0, 455.0),
    "portal_vein": (230.0, 600.0),
    "hepatic_vein": (150.0, 580.0),
}
#: Neuroendocrine metastases are hypervascular; a haemangioma fills late and slowly.
LESION_ENHANCEMENT: Mapping[str, tuple[float, float]] = {
    "metastasis": (455.0, 370.0),
    "cyst": (75.0, 78.0),
    "haemangioma": (230.0, 480.0),
}
CT_PHASES = ("ct-arterial", "ct-portal")
#: Iodine: HU of the tissues that differ from the native CT (late arterial, portal venous). Blood is the aorta's.
CT_ENHANCEMENT: Mapping[str, tuple[float, float]] = {
    "heart": (250.0, 150.0),
    "blood": (290.0, 160.0),
    "spleen": (130.0, 122.0),
    "kidney": (170.0, 190.0),
    "medulla": (75.0, 160.0),
    "adrenal": (85.0, 75.0),
    "pancreas": (108.0, 95.0),
    "uncinate": (108.0, 95.0),
    "stomach_wall": (85.0, 90.0),
    "bowel_wall": (85.0, 95.0),
    "muscle": (60.0, 66.0),
    "liver": (72.0, 112.0),
    "portal_vein": (130.0, 172.0),
    "hepatic_vein": (58.0, 165.0),
}
#: Neuroendocrine metastases light up in the arterial phase and wash out in the portal one.
CT_LESION_ENHANCEMENT: Mapping[str, tuple[float, float]] = {
    "metastasis": (108.0, 88.0),
    "cyst": (6.0, 6.0),
    "haemangioma": (62.0, 100.0),
}
#: Where FDG's physiology differs from that of the SSR tracers, as a multiple of the liver's uptake.
FDG_UPTAKE: Mapping[str, float] = {
    "heart": 1.8,
    "blood": 0.75,
    "spleen": 0.85,
    "kidney": 1.5,
    "medulla": 2.0,
    "urine": 8.0,
    "adrenal": 0.8,
    "muscle": 0.35,
    "marrow": 0.6,
    "pancreas": 0.7,
    "uncinate": 0.7,
    "cord": 0.8,
}
PHASES = ("mr-arterial", "mr-portal")
#: Fatty infiltration of 1 (severe) lowers the liver by this much on CT and its fat-suppressed signals by this share.
STEATOSIS_HU = 45.0
STEATOSIS_SIGNAL = 0.25


def tissue_table(image: str, liver_suv: float, steatosis: float, bile: float, uptake: str = "ssr") -> dict[str, float]:
    """Value of every tissue in one image ("ct", one of ``CT_PHASES``, "pet" or an MR role).

    ``liver_suv`` scales PET; ``steatosis`` in 0..1; ``bile`` in 0..1 is how much of the hepatobiliary contrast agent
    has reached the gallbladder, which then turns from dark to brighter than the liver.
    """
    column = COLUMNS.index("mr-t1-native" if image in PHASES else "ct" if image in CT_PHASES else image)
    table = {name: row[column] for name, row in TISSUES.items()}
    if image in PHASES:
        table |= {name: values[PHASES.index(image)] for name, values in ENHANCEMENT.items()}
    if image in CT_PHASES:
        table |= {name: values[CT_PHASES.index(image)] for name, values in CT_ENHANCEMENT.items()}
    if image == "pet":
        table |= FDG_UPTAKE if uptake == "fdg" else {}
        table = {name: value * liver_suv for name, value in table.items()}
    elif image == "ct" or image in CT_PHASES:
        table["liver"] -= STEATOSIS_HU * steatosis
    elif image != "mr-adc":
        table["liver"] *= 1 - STEATOSIS_SIGNAL * steatosis
    if image == "mr-hbp":
        table["gallbladder"] += 500.0 * bile
    return table


def lesion_value(image: str, nature: str, tlr: float, liver_suv: float, contrast: float) -> float | None:
    """Value inside a lesion, None where the lesion does not exist in this image.

    ``contrast`` (about 1) scales a metastasis' deviation from liver on MR, so that no two look alike. An
    "inflammation" is a focus on PET only; a PET uptake ``tlr`` is relative to liver.
    """
    if image == "pet":
        return tlr * liver_suv
    if nature == "inflammation":
        return None
    if image in PHASES:
        phase = PHASES.index(image)
        liver = ENHANCEMENT["liver"][phase]
        return float(liver + np.clip(contrast, 0.3, 1.5) * (LESION_ENHANCEMENT[nature][phase] - liver))
    if image in CT_PHASES:
        phase = CT_PHASES.index(image)
        liver = CT_ENHANCEMENT["liver"][phase]
        return float(liver + np.clip(contrast, 0.3, 1.5) * (CT_LESION_ENHANCEMENT[nature][phase] - liver))
    order = ("ct", "mr-t1-native", "mr-hbp", "mr-t2", "mr-dwi", "mr-adc")
    value = LESIONS[nature][order.index(image)]
    liver = TISSUES["liver"][COLUMNS.index(image)]
    return float(liver + np.clip(contrast, 0.3, 1.5) * (value - liver))
