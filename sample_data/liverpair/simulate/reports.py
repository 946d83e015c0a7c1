"""Radiology and nuclear medicine reports, German and English, that say what the truth (and its readers) would say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Finding", "mr_report", "pet_report"]


@dataclass(frozen=True, slots=True)
class Finding:
    """A lesion as a reader names it: size in mm, liver segment, nature, and whether this examination shows it."""

    diameter_mm: float
    segment: str
    nature: str
    suv: float = 0.0


def _size(rng: np.random.Generator, millimetres: float, language: str) -> str:
    """A size as people dictate it: "12 mm", "1,2 cm", "1.2 x 1.0 cm"."""
    whole = max(1, round(millimetres))
    style = int(rng.integers(0, 3))
    point = "," if language == "de" else "."
    if style == 0:
        return f"{whole} mm"
    if style == 1:
        return f"{whole / 10:.1f}".replace(".", point) + " cm"
    other = max(1, round(0.85 * whole))
    joint = " x "
    return (
        f"{whole}{joint}{other} mm"
        if whole < 10
        else (f"{whole / 10:.1f}{joint}{other / 10:.1f}".replace(".", point) + " cm")
    )


def _benign(rng: np.random.Generator, findings: Sequence[Finding], language: str, modality: str) -> list[str]:
    lines = []
    for finding in findings:
        size = _size(rng, finding.diameter_mm, language)
        if language == "de":
            name = {"cyst": "Leberzyste", "haemangioma": "Hämangiom"}[finding.nature]
            where = f"in Segment {finding.segment}"
            lines.append(f"{name} {where}, {size}" + (", photopen." if modality == "PT" else ", unverändert."))
        else:
            name = {"cyst": "simple cyst", "haemangioma": "haemangioma"}[finding.nature]
            lines.append(
                f"A {size} {name} in segment {finding.segment}"
                + (" without tracer uptake." if modality == "PT" else ", unchanged.")
            )
    return lines


def _malignant(rng: np.random.Generator, findings: Sequence[Finding], language: str, modality: str) -> list[str]:
    largest = max(findings, key=lambda f: f.diameter_mm)
    size = _size(rng, largest.diameter_mm, language)
    count = len(findings)
    if language == "de":
        number = {1: "Eine", 2: "Zwei", 3: "Drei", 4: "Vier"}.get(count, "Multiple")
        if modality == "PT":
            verb = "vermehrt Rezeptor-exprimierende" if rng.random() < 0.5 else "intensiv SSR-positive"
            noun = "Leberläsion" if count == 1 else "Leberläsionen"
            uptake = f"{largest.suv:.1f}".replace(".", ",")
            line = f"{number} {verb} {noun}, die größte in Segment {largest.segment} mit {size}, SUVmax {uptake}."
            return [line, "Die Befunde sind vereinbar mit hepatischen Metastasen."]
        noun = "Läsion" if count == 1 else "Läsionen"
        line = (
            f"{number} in der hepatobiliären Phase hypointense, diffusionsgestörte {noun}; Referenzläsion Segment "
            f"{largest.segment} {size}."
        )
        return [line, "Bild passend zu Lebermetastasen des bekannten NET."]
    number = {1: "One", 2: "Two", 3: "Three", 4: "Four"}.get(count, "Multiple")
    if modality == "PT":
        noun = "focus" if count == 1 else "foci"
        return [
            f"{number} intensely avid hepatic {noun}, the largest in segment {largest.segment} measuring {size} "
            f"(SUVmax {largest.suv:.1f}).",
            "Findings are consistent with liver metastases.",
        ]
    noun = "lesion" if count == 1 else "lesions"
    return [
        f"{number} hepatic {noun} hypointense in the hepatobiliary phase with restricted diffusion, the largest in "
        f"segment {largest.segment} measuring {size}.",
        "Appearances are those of liver metastases.",
    ]


NO_METASTASES = {
    ("de", "PT"): (
        "Kein Nachweis SSR-positiver Lebermetastasen.",
        "Homogene physiologische Anreicherung der Leber, kein Hinweis auf eine hepatische Filialisierung.",
        "Leber ohne pathologische Mehranreicherung. Keine Metastasen.",
    ),
    ("de", "MR"): (
        "Kein Nachweis von Lebermetastasen.",
        "Keine metastasensuspekten Läsionen der Leber, keine Diffusionsstörung.",
        "Leber ohne Anhalt für Filiae.",
    ),
    ("en", "PT"): (
        "No evidence of somatostatin receptor positive liver metastases.",
        "Physiological homogeneous hepatic uptake; no avid hepatic lesion.",
        "The liver is free of suspicious uptake. No metastases.",
    ),
    ("en", "MR"): (
        "No evidence of hepatic metastases.",
        "No focal liver lesion suspicious for metastasis.",
        "No restricted diffusion and no hypointense lesion in the hepatobiliary phase other than described.",
    ),
}
OPENING = {
    ("de", "PT"): ("Klinische Angaben: Neuroendokriner Tumor des Ileums, Verlaufskontrolle.", "Befund:"),
    ("de", "MR"): ("Fragestellung: Lebermetastasen bei bekanntem NET?", "Befund:"),
    ("en", "PT"): ("Clinical information: Ileal neuroendocrine tumour, restaging.", "Findings:"),
    ("en", "MR"): ("Indication: Known NET, liver metastases?", "Findings:"),
}
ELSEWHERE = {
    ("de", "PT"): (
        "Mesenteriale Lymphknotenmetastase mit intensiver Rezeptorexpression, 18 mm.",
        "Physiologische Anreicherung in Milz, Nieren und Nebennieren.",
        "Kein Hinweis auf ossäre Metastasen.",
    ),
    ("de", "MR"): (
        "Milz, Pankreas und Nebennieren unauffällig. Nierenzyste rechts 21 mm.",
        "Gallenblase steinfrei, keine Cholestase.",
        "Kein Aszites. Keine vergrößerten Lymphknoten.",
    ),
    ("en", "PT"): (
        "Avid mesenteric nodal mass, 18 mm.",
        "Physiological uptake in spleen, kidneys and adrenals.",
        "No avid bone lesion.",
    ),
    ("en", "MR"): (
        "Spleen, pancreas and adrenals are unremarkable. Right renal cyst of 21 mm.",
        "Gallbladder without stones, no biliary dilatation.",
        "No ascites. No enlarged lymph nodes.",
    ),
}


def _report(
    rng: np.random.Generator,
    language: str,
    modality: str,
    malignant: Sequence[Finding],
    benign: Sequence[Finding],
    technique: str,
    comparison: str,
) -> str:
    key = (language, modality)
    opening, heading = OPENING[key]
    negative = [str(rng.choice(NO_METASTASES[key]))]
    verdict = _malignant(rng, malignant, language, modality) if malignant else negative
    body = [verdict[0], *_benign(rng, benign, language, modality), str(rng.choice(ELSEWHERE[key]))]
    title, summary = ("Beurteilung:", "Lebermetastasen.") if language == "de" else ("Impression:", "Liver metastases.")
    closing = verdict[-1] if not malignant else summary if rng.random() < 0.4 else verdict[-1]
    return "\n".join([opening, technique, comparison, heading, *body, title, closing])


def pet_report(
    rng: np.random.Generator,
    language: str,
    tracer: str,
    malignant: Sequence[Finding],
    benign: Sequence[Finding],
    compared: bool,
) -> str:
    """The report of a PET/CT whose reader saw ``malignant`` and ``benign`` findings."""
    if language == "de":
        technique = f"Technik: PET/CT nach i.v. Gabe von {tracer}, natives Niedrigdosis-CT."
        comparison = (
            "Vergleich: Voruntersuchung aus dem Vorjahr." if compared else "Keine Voruntersuchung zum Vergleich."
        )
    else:
        technique = f"Technique: PET/CT after injection of {tracer}, unenhanced low-dose CT."
        comparison = "Comparison: previous study of last year." if compared else "Comparison: none."
    return _report(rng, language, "PT", malignant, benign, technique, comparison)


def mr_report(
    rng: np.random.Generator,
    language: str,
    malignant: Sequence[Finding],
    benign: Sequence[Finding],
    compared: bool,
) -> str:
    """The report of a liver MRI whose reader saw ``malignant`` and ``benign`` findings."""
    if language == "de":
        technique = "Technik: T2, DWI (b 50/400/800), dynamische T1 nach Primovist, hepatobiliäre Phase."
        comparison = "Vergleich: Vor-MRT." if compared else "Kein Vor-MRT vorliegend."
    else:
        technique = "Technique: T2, DWI (b 50/400/800), dynamic T1 after gadoxetate, hepatobiliary phase."
        comparison = "Comparison: previous MRI." if compared else "Comparison: none available."
    return _report(rng, language, "MR", malignant, benign, technique, comparison)
