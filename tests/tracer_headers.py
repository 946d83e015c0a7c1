"""PET headers as hospitals write them, with the tracer that a reader would name: material for tests/test_tracer.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BLIND", "SECOND_BLIND", "HeaderCase"]

GA = ("C-131A3", "SRT", "^68^Gallium")
GA_SCT = ("35337001", "SCT", "^68^Gallium")
CU = ("3932008", "SCT", "^64^Copper")
F = ("C-111A1", "SRT", "^18^Fluorine")
F_SCT = ("77004003", "SCT", "^18^Fluorine")
C11 = ("C-105A1", "SRT", "^11^Carbon")
N13 = ("C-107A1", "SRT", "^13^Nitrogen")
RB = ("C-159A2", "SRT", "^82^Rubidium")
LU = ("C-101ED", "99SDM", "177 Lutetium")
ZR = ("C-168A4", "SRT", "^89^Zirconium")
T_GA, T_F, T_CU, T_LU, T_C11, T_N13, T_RB, T_ZR = 4057.74, 6586.2, 45721.0, 574300.0, 1221.8, 597.9, 75.5, 282276.0


@dataclass(frozen=True)
class HeaderCase:
    """``expected``: the tracer's name, "unknown", or "not-ssr" where only that matters; ``header``: more keywords."""

    expected: str
    items: tuple[Mapping[str, Any], ...]
    header: Mapping[str, Any] = field(default_factory=dict)


def item(
    text: str | None = None,
    nuclide: tuple[str, str, str] | None = None,
    half_life: float | None = None,
    code: tuple[str, str, str] | None = None,
) -> dict[str, Any]:
    """One item of the Radiopharmaceutical Information Sequence in plain JSON."""
    found: dict[str, Any] = {"RadionuclideTotalDose": 1.5e8}
    if text is not None:
        found["Radiopharmaceutical"] = text
    if half_life is not None:
        found["RadionuclideHalfLife"] = half_life
    for keyword, triple in (("RadionuclideCodeSequence", nuclide), ("RadiopharmaceuticalCodeSequence", code)):
        if triple is not None:
            keys = ("CodeValue", "CodingSchemeDesignator", "CodeMeaning")
            found[keyword] = [dict(zip(keys, triple, strict=True))]
    return found


def case(expected: str, *args: Any, **header: Any) -> HeaderCase:
    """A header with one radiopharmaceutical: (text, nuclide code, half-life, ligand code), then keywords."""
    return HeaderCase(expected, (item(*args),), header)


def several(expected: str, *items: Mapping[str, Any], **header: Any) -> HeaderCase:
    """A header with several radiopharmaceuticals."""
    return HeaderCase(expected, items, header)


#: Written, with their answers, before the code had seen any of them.
BLIND = (
    case("68Ga-DOTATATE", "DOTA-(Tyr3)-octreotate", GA, 4080.0),
    case("68Ga-DOTATATE", "Solution", GA_SCT, T_GA, ("724025002", "SCT", "Dotatate Ga^68^")),
    case("68Ga-DOTATATE", "Galio-68 DOTATATE", None, T_GA),
    case("68Ga-DOTATOC", "68Ga-DOTA-péptidos", GA, T_GA, StudyDescription="PET/TC 68Ga-DOTATOC"),
    case("68Ga-SSR", None, GA, T_GA, StudyDescription="PET Gallio-68 DOTA-peptidi"),
    case("68Ga-SSR", "", GA, T_GA, StudyDescription="PET/TC receptores de somatostatina"),
    case("68Ga-SSR", "Altro", GA, T_GA, StudyDescription="PET recettori della somatostatina"),
    case("68Ga-DOTATOC", "Autre", GA, T_GA, StudyDescription="TEP-TDM DOTATOC Ga68"),
    case("68Ga-SSR", None, GA, T_GA, SeriesDescription="DOTA peptide AC WB"),
    case("68Ga-SSR", "DOTA", GA, T_GA, StudyDescription="PET-CT"),
    case("68Ga-DOTATATE", "Ga68-DOTATE", GA, T_GA),
    case("68Ga-DOTATATE", "DOTATTE", GA, T_GA),
    case("68Ga-DOTATOC", "DOTATOK", GA, T_GA),
    case("68Ga-DOTATOC", "DOTA TOC 120 MBq", GA, T_GA),
    case("68Ga-DOTANOC", "Ga-DOTA-NOC", GA, T_GA),
    case("68Ga-DOTATATE", "68GaDOTATATE", None, None),
    case("68Ga-DOTATOC", "GA68_DOTATOC", None, None),
    case("64Cu-DOTATATE", "Copper Cu 64 dotatate", CU, T_CU),
    case("64Cu-DOTATATE", "Detectnet", ("C-127A2", "SRT", "^64^Copper"), 45720.0),
    case("64Cu-SSR", None, CU, T_CU, StudyDescription="PET/CT SSTR 64Cu"),
    case("18F-SiTATE", "18F-SiTATE", F, T_F, StudyDescription="PET/CT Ganzkörper SSTR"),
    case("18F-SiTATE", "F18 SiTATE", F_SCT, 6588.0, ProtocolName="PET_CT_FDG_GK"),
    case("18F-NOTA-octreotide", "[18F]AlF-NOTA-octreotide", F, T_F),
    case("177Lu-DOTATATE", "Lu-177 Dotatate", LU, T_LU),
    case("177Lu-PSMA", "177Lu-PSMA I&T", LU, T_LU),
    case("18F-FDG", "FDG", F, T_F, StudyDescription="PET/CT DOTATATE"),
    case("18F-FDG", "Fluorodeoxyglucose", F_SCT, T_F, ("35321007", "SCT", "Fluorodeoxyglucose F^18^"),
         ProtocolName="Ga68 DOTATOC Ganzkoerper"),
    case("68Ga-DOTATATE", "Ga-68 DOTATATE", GA, T_GA, StudyDescription="PET/CT FDG Ganzkörper"),
    case("68Ga-DOTATOC", "DOTATOC", GA, T_GA, ProtocolName="FDG_WB_3D", StudyDescription="PET FDG"),
    case("68Ga-DOTATATE", "68Ga-DOTATATE", GA, T_GA, StudyDescription="PSMA PET/CT"),
    case("not-ssr", "68Ga-PSMA-11", GA, T_GA, StudyDescription="PET/CT Ga-68 DOTA"),
    case("68Ga-PSMA", "PSMA", GA, T_GA, StudyDescription="PET/CT Ga68 PSMA HBED-CC"),
    case("68Ga-PSMA", "HBED-CC", GA, T_GA),
    case("not-ssr", None, GA, T_GA, StudyDescription="PET-CT Prostata Ga68"),
    case("unknown", "Ga-68", GA, T_GA),
    case("unknown", "Gallium", GA, T_GA, StudyDescription="PET CT Staging"),
    case("18F-FDG", "18F-2-fluoro-2-desoxy-D-glucosa", F, T_F),
    case("18F-FDG", "FDG [18F]", None, 6588.0),
    case("18F-FDG", "Glucose F18", F, T_F),
    case("18F-FDG", "FLUORODESOSSIGLUCOSIO", F, T_F),
    case("18F-NaF", "Fluoride", F, T_F, StudyDescription="PET bone scan"),
    case("18F-NaF", "NaF-18", F, T_F),
    case("18F-choline", "Fluorocholine (18F)", F, T_F),
    case("11C-choline", "C-11 Colina", C11, T_C11),
    case("11C-methionine", "L-[11C]Methionin", C11, T_C11),
    case("11C-acetate", "Acetate", C11, T_C11),
    case("18F-DOPA", "6-[18F]FDOPA", F, T_F, StudyDescription="PET/CT NET"),
    case("18F-amyloid", "Florbetapir", F, T_F),
    case("11C-amyloid", "PiB", C11, T_C11),
    case("13N-ammonia", "Ammonia", N13, T_N13, StudyDescription="Cardiac PET rest stress"),
    case("not-ssr", None, RB, T_RB, StudyDescription="Myokard PET Rb-82"),
    case("68Ga-FAPI", "FAPI-04", GA, T_GA, StudyDescription="PET/CT DOTA-FAPI"),
    case("68Ga-FAPI", "68Ga-DOTA-FAPI-46", GA, T_GA),
    case("68Ga-exendin", "DOTA-Exendin-4", GA, T_GA, StudyDescription="Insulinoma"),
    case("68Ga-pentixafor", "PentixaFor", GA, T_GA),
    case("68Ga-bombesin", "68Ga-RM2", GA, T_GA),
    case("not-ssr", "girentuximab", ZR, T_ZR),
    case("not-ssr", "68Ga-MAA", GA, T_GA, StudyDescription="Lung perfusion PET"),
    several("68Ga-DOTATATE", item("FDG", F, T_F), item("DOTATATE", GA, T_GA), SeriesDescription="DOTATATE WB AC"),
    several("unknown", item("FDG", F, T_F), item("DOTATATE", GA, T_GA)),
    several("68Ga-DOTATOC", item("DOTATOC", GA, T_GA), item("DOTATOC", GA, T_GA)),
    several("68Ga-DOTATOC", item(), item("DOTATOC", GA, T_GA)),
    several("18F-FDG", item("FDG", F, T_F), item("DOTATATE", GA, T_GA), SeriesDescription="PET FDG WB AC"),
    case("68Ga-DOTATATE", None, None, None, SeriesDescription="Ga68 DOTATATE WB CTAC"),
    case("unknown", None, None, None, SeriesDescription="PET WB AC"),
    case("68Ga-DOTATATE", "DOTATATE", ("C-131A1", "SRT", "^66^Gallium"), T_GA),
)  # fmt: skip

#: A second batch, written the same way after the rules had been widened for the first.
SECOND_BLIND = (
    case("68Ga-DOTATOC", "Ga-68 DOTA0-Tyr3-Octreotide", GA, T_GA),
    case("68Ga-DOTATATE", "DOTA-D-Phe1-Tyr3-Thr8-octreotide (TATE)", GA, T_GA),
    case("68Ga-DOTATATE", "GaDotatate", GA_SCT, 4062.6),
    case("68Ga-DOTATOC", "DOTATOC-68GA", GA, 4069.8, StudyDescription="PET/CT GK m. KM", ProtocolName="PETCT_FDG"),
    case("68Ga-DOTATOC", "", GA, T_GA, SeriesDescription="[WB_CTAC] Body DOTATOC"),
    case("68Ga-DOTATATE", "", GA, T_GA, ProtocolName="01_PETCT_WholeBody_Dotatate (Adult)"),
    case("68Ga-SSR", "Ga68 Peptid", GA, T_GA, StudyDescription="PET/CT Somatostatinrezeptor-Szintigraphie"),
    case("68Ga-SSR", "other", GA, T_GA, StudyDescription="NM PET CT DOTA SKULL TO THIGH"),
    case("68Ga-SSR", "", GA, T_GA, StudyDescription="TEP DOTA-peptides"),
    case("68Ga-SSR", "", GA, T_GA, RequestedProcedureDescription="PET-CT met Ga-68 somatostatine receptor"),
    case("68Ga-SSR", "", GA, T_GA, StudyDescription="PET SSTR-2 imaging"),
    case("68Ga-SSR", "", GA, T_GA, StudyDescription="PET/CT Karzinoid Staging"),
    case("68Ga-DOTANOC", "DOTANOK", GA, T_GA),
    case("68Ga-DOTATATE", "Dotatatae", GA, T_GA),
    case("68Ga-DOTATATE", "DOTA TATE Ga 68", GA, T_GA),
    case("68Ga-DOTATOC", "DOTTATOC", GA, T_GA),
    case("64Cu-DOTATATE", "64Cu-Dotatate (Detectnet\u2122)", None, T_CU),
    case("64Cu-DOTATATE", "[64Cu]Cu-DOTA-TATE", CU, T_CU, ProtocolName="FDG_Standard"),
    case("18F-SiTATE", "SiTATE", F, 6586.2, StudyDescription="PET/CT NET"),
    case("18F-SiTATE", "[18F]SiFAlin-TATE", F_SCT, 6586.2),
    case("18F-FDG", "FDG", F, T_F, StudyDescription="PET/CT NET Staging DOTATATE/FDG"),
    case("18F-FDG", "F18-FDG", F, T_F, SeriesDescription="GA68 DOTATATE AC"),
    case("18F-FDG", "FDG", ("C-111A1", "99SDM", "^18^Fluorine"), 6588.0, StudyDescription="TEP-TDM au FDG"),
    case("18F-FDG", None, F, T_F, StudyDescription="FDG PET"),
    case("18F-FDG", "fluorodesoxiglucosa F-18", F, T_F),
    case("68Ga-PSMA", "PSMA-11 (HBED)", GA, T_GA, SeriesDescription="PSMA WB AC"),
    case("68Ga-PSMA", None, GA, T_GA, ProtocolName="Ga68_PSMA_GK"),
    case("18F-PSMA", "rhPSMA-7.3", F, T_F),
    case("18F-PSMA", "PSMA1007", F, T_F),
    case("68Ga-PSMA", "DOTA-PSMA-617", GA, T_GA),
    case("68Ga-FAPI", "Ga-68-FAPI", GA, T_GA, StudyDescription="PET/CT Staging NET"),
    case("18F-FAPI", "AlF-NOTA-FAPI-04", F, T_F),
    case("18F-DOPA", "18F-DOPA", F, T_F, StudyDescription="PET/CT Karzinoid"),
    case("18F-NaF", "Natriumfluorid", F, T_F),
    case("18F-choline", "Fluorethylcholin", F, T_F),
    case("18F-amyloid", "Florbetaben", F, T_F),
    case("18F-flurpiridaz", "Flurpiridaz", F, T_F),
    case("82Rb-rubidium", "Rubidium Chloride", RB, 75.0),
    case("15O-water", "H2O", ("C-B1038", "SRT", "^15^Oxygen"), 122.2),
    case("68Ga-pentixafor", "68Ga-Pentixafor", GA, T_GA, StudyDescription="CXCR4 PET"),
    case("68Ga-exendin", "NODAGA-exendin-4", GA, T_GA, StudyDescription="PET/CT GLP-1R Insulinom NET"),
    case("unknown", "Gallium Ga-68", GA, T_GA, StudyDescription="PET/CT Ganzkörper nativ"),
    case("unknown", "68Ga", GA, T_GA, SeriesDescription="WB 3D AC", ProtocolName="PET Ga68"),
    case("unknown", "Fluor-18", F, T_F, StudyDescription="PET/CT"),
    case("unknown", "Research tracer 7", GA, T_GA),
    case("177Lu-SSR", None, LU, T_LU, SeriesDescription="SPECT Abdomen AC"),
    case("177Lu-PSMA", "Pluvicto", LU, T_LU),
    case("177Lu-DOTATATE", "Lutathera", ("447553000", "SCT", "^177^Lutetium"), 574000.0),
    case("not-ssr", "PSMA", GA, T_GA, SeriesDescription="DOTATOC WB"),
    several("68Ga-DOTATATE", item("68Ga-DOTATATE", GA, T_GA), item("Furosemid")),
    several("18F-FDG", item("DOTATOC", GA, T_GA), item("FDG", F, T_F), StudyDescription="PET/CT FDG"),
)  # fmt: skip
