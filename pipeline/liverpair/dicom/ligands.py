"""Find the ligands that a radiopharmaceutical's code or a text names; typing errors included, guesses not."""

from __future__ import annotations

import re
import unicodedata

from liverpair.dicom.nuclides import compact

__all__ = ["FAMILY", "SSR_LIGANDS", "fits", "ligand_of_code", "ligands_in_text"]

#: Somatostatin-receptor ligands; "SSR" where only the family is known.
SSR_LIGANDS = frozenset(
    {"DOTATATE", "DOTATOC", "DOTANOC", "SiTATE", "SiTOC", "DOTALAN", "SARTATE", "JR11", "LM3", "NOTA-octreotide",
     "SSR"}
)  # fmt: skip
#: What ligands_in_text says of texts that name no ligand.
FAMILY = frozenset({"SSR", "NET"})
#: Codes of CID 4021 (SCT, DCM, UMLS, NCIt, and the retired SRT values), letters and digits only. The values of these
#: schemes do not collide, and headers mix the schemes up, so the designator is not asked.
LIGAND_CODES = {
    code: ligand
    for ligand, codes in {
        "DOTATATE": "724025002",
        "DOTATOC": "C2713594",
        "FDG": "35321007 CB1031",
        "NaF": "129501009 CB1032",
        "choline": "126703 456992002 CE0273",
        "FET": "424708001 CB07E0",
        "DOPA": "5811000122108 CE0241",
        "PSMA": "126758 126759 C118961 C116352 C96234",
        "FES": "926372005",
        "fluciclovine": "457000009 CE026A",
        "FLT": "129502002 CB1036",
        "hypoxia": "422598008 CB07E1 422855001 CB07DB 126700 126701 126702 C1541539",
        "amyloid": "712736002 CD6858 456995000 CE0269 456997008 CE0267 126500 423546004 CB07E4",
        "tau": "879808000 126502 C4506764 C4550127 C4279748",
        "methionine": "129510001 CB103E",
        "acetate": "129513004 CB1043",
        "ammonia": "129508003 CB103C",
        "water": "129505000 CB1039",
        "rubidium": "129503007 CB1037",
        "flurpiridaz": "126718",
        "EDTA": "423498000 CB07DD",
    }.items()
    for code in codes.split()
}
#: Patterns searched in the compacted text (lower-case letters and digits only). International and trade names;
#: German, English, French, Spanish and Italian spellings differ only in their ends.
LIGAND_PATTERNS = {
    "SiTATE": "sitate|sifalintat|sifalinoctreotat",
    "SiTOC": "sifalintoc",
    "SARTATE": "sartate",
    "JR11": "jr11|satoreotid|ops20[12]",
    "LM3": "(?:dota|nodaga)lm3",
    "NOTA-octreotide": "notaoctreotid|alfnotaoct|alfoctreotid",
    "DOTATATE": "dotatat(?!oc)|octreotat|oxodotreotid|netspot|detectnet|lutathera",
    "DOTATOC": "dotatatoc|dotatoc|tyr3octreotid|edotreotid|somakit|dotaoctreotid",
    "DOTANOC": "dotanoc|1?na[li]3?octreotid|donanoc",
    "DOTALAN": "dotalan",
    "FDG": "fdg|fludeoxyglu|d(?:e|es|ez)?(?:oxy|oxi|ossi)d?glu|glu[ck]os",
    "PSMA": "psma|piflufolastat|gozetotid|illuccix|locametz|gozellix|pylarify|dcfpyl|dcfbc|flotufolastat|posluma|"
    "pluvicto|vipivotid|hbedcc|prostatespecificmembrane|prostataspezifisch",
    "FAPI": "fapi|fap2286|oncofap|fibroblastactivation|fibroblastenaktiv",
    "choline": "cholin|colina",
    "NaF": "fluorid|fluoruro|fluorure|fluoruredesodium",
    "FET": "ethyll?tyros",
    "DOPA": "dopa(?!min)",
    "FES": "estradiol|cerianna",
    "fluciclovine": "fluciclovin|axumin|facbc",
    "pentixafor": "pentixa|cxcr4",
    "exendin": "exendin|exenatid|glp1r",
    "bombesin": "bombesin|neobomb|grpr",
    "minigastrin": "minigastrin|cck2",
    "RGD": "(?:nodaga|dota|galacto|prgd|cyclo)rgd",
    "HER2": "affibody|trastuzumab",
    "bisphosphonate": "zoledron|dotazol|bpamd",
    "MAA": "macroaggreg|maaperf|gamaa|68maa",
    "citrate": "citrat",
    "antibody": "[a-z]{4}mab(?![a-z])",
    "amyloid": "florbeta[pb]|flutemetamol|amyloid|neuraceq|amyvid|vizamyl|pittsburgh",
    "tau": "flortaucipir|tauvid|mk6240|av1451",
    "methionine": "methionin|metionin",
    "acetate": "[ck]?11acetat|acetatc?11|^acetat[eo]?$",
    "ammonia": "ammonia|amonia",
    "rubidium": "cardiogen|rubyfill|rubidi",
    "flurpiridaz": "flurpiridaz|flyrcado",
    "MIBG": "mibg|mfbg",
    "FLT": "fluoro?thymidin",
    "hypoxia": "misonidazol|fmiso",
}
#: Short names, valid only as a whole word.
LIGAND_TOKENS = {
    "naf": "NaF",
    "fet": "FET",
    "fch": "choline",
    "fmch": "choline",
    "fes": "FES",
    "flt": "FLT",
    "pib": "amyloid",
    "faza": "hypoxia",
    "sitoc": "SiTOC",
    "lm3": "LM3",
    "tate": "DOTATATE",
    "toc": "DOTATOC",
    "noc": "DOTANOC",
    "fap": "FAPI",
    "rm2": "bombesin",
    "rm26": "bombesin",
    "rgd": "RGD",
    "maa": "MAA",
    "nh3": "ammonia",
    "h2o": "water",
    "psm": "PSMA",
    "her2": "HER2",
}
#: The receptor itself: with any nuclide of the family enough for "…-SSR".
RECEPTOR_WORDS = ("somatost", "somastat", "sstr", "sst2", "octreo", "dotapept", "ssrpet", "dotapet", "dotascan")
RECEPTOR_TOKENS = frozenset({"ssr", "ssrt", "ssa", "dota"})
#: The disease: enough with a metal (⁶⁸Ga, ⁶⁴Cu), not with ¹⁸F, which labels FDG and DOPA for the same disease.
DISEASE_WORDS = ("neuroendokrin", "neuroendocrin", "karzinoid", "carcinoid")
DISEASE_TOKENS = frozenset({"net", "nets", "nen", "nens", "gepnet", "gepnen", "tne"})
#: Which nuclides a ligand is made with; absent: any. DOTA carries metals, never ¹⁸F or ¹¹C.
METALS = frozenset({"68Ga", "66Ga", "64Cu", "61Cu", "177Lu", "90Y", "86Y", "111In", "44Sc", "89Zr", "152Tb", "99mTc"})
_F18 = frozenset({"18F"})
COMPATIBLE = {
    "FDG": _F18, "NaF": _F18, "FET": _F18, "FES": _F18, "FLT": _F18, "tau": _F18, "fluciclovine": _F18, "DOPA": _F18,
    "flurpiridaz": _F18, "choline": _F18 | {"11C"}, "methionine": frozenset({"11C"}), "acetate": frozenset({"11C"}),
    "ammonia": frozenset({"13N"}), "water": frozenset({"15O"}), "amyloid": _F18 | {"11C"},
    "MIBG": frozenset({"123I", "124I", "131I", "18F"}), "hypoxia": _F18 | {"64Cu", "61Cu"},
    "rubidium": frozenset({"82Rb"}), "DOTATATE": METALS, "DOTATOC": METALS, "DOTANOC": METALS, "DOTALAN": METALS,
    "SARTATE": METALS, "JR11": METALS, "LM3": METALS, "SiTATE": _F18, "SiTOC": _F18,
    "NOTA-octreotide": _F18 | {"68Ga", "64Cu"}, "SSR": METALS | _F18, "NET": METALS, "pentixafor": METALS,
    "exendin": METALS, "minigastrin": METALS, "bisphosphonate": METALS, "MAA": METALS, "citrate": METALS,
    "EDTA": METALS,
}  # fmt: skip
#: Names within one typing error of which a word means the ligand; longer distances meet other words.
TYPO_TARGETS = {
    "dotatate": "DOTATATE", "dotatoc": "DOTATOC", "dotanoc": "DOTANOC", "edotreotide": "DOTATOC",
    "edotreotid": "DOTATOC", "oxodotreotide": "DOTATATE", "octreotate": "DOTATATE", "detectnet": "DOTATATE",
}  # fmt: skip
SHORTEST_TYPO, LONGEST_TYPO = 5, 14


def ligand_of_code(value: str) -> str:
    """The ligand of a radiopharmaceutical's code value, "" for codes that name none of those known here."""
    return LIGAND_CODES.get(re.sub(r"[^A-Z0-9]", "", value.upper()), "")


def fits(ligand: str, nuclide: str) -> bool:
    """Whether the ligand is made with this nuclide; an unknown nuclide contradicts nothing."""
    return not nuclide or nuclide in COMPATIBLE.get(ligand, frozenset({nuclide}))


def ligands_in_text(text: str) -> set[str]:
    """Ligands that a text names; "SSR" where it names the receptor, "NET" where it names the disease."""
    squeezed = compact(text)
    found = {name for name, pattern in LIGAND_PATTERNS.items() if re.search(pattern, squeezed)}
    tokens = _tokens(text)
    found |= {LIGAND_TOKENS[t] for t in tokens if t in LIGAND_TOKENS}
    if not found & SSR_LIGANDS:
        found |= _typos(tokens, squeezed)
    if "SiTATE" in found or "SARTATE" in found:
        found.discard("DOTATATE")
    if "NaF" in found and len(found) > 1:
        found.discard("NaF")  # aluminium fluoride, fluoride of a longer name
    if any(word in squeezed for word in RECEPTOR_WORDS) or tokens & RECEPTOR_TOKENS:
        found.add("SSR")
    if any(word in squeezed for word in DISEASE_WORDS) or tokens & DISEASE_TOKENS:
        found.add("NET")
    return found


def _tokens(text: str) -> set[str]:
    """Whole words, and words freed of a nuclide glued to them (68gadotatoc, f18fet)."""
    plain = unicodedata.normalize("NFKD", text).lower()
    words = set(re.findall(r"[a-z0-9]+", plain))
    freed = {
        re.sub(r"^(?:68ga|ga68|64cu|cu64|18f|f18|177lu|lu177|68|64|18|177)+|(?:68ga|ga68|18f|f18)+$", "", w)
        for w in words
    }
    letters = set(re.findall(r"[a-z]+", plain))
    return words | freed | letters


def _typos(tokens: set[str], squeezed: str) -> set[str]:
    """SSR ligands one typing error away; an equal distance to two of them names the family only.

    The ending decides where the body is garbled (DOTATATOC, DOTA-TOK, DOTATE): TATE, TOC and NOC are what differs.
    """
    found = set()
    for word in tokens:
        if not SHORTEST_TYPO <= len(word) <= LONGEST_TYPO:
            continue
        near = {name for target, name in TYPO_TARGETS.items() if _edit_distance(word, target) <= 1}
        if near:
            found.add(near.pop() if len(near) == 1 else "SSR")
    tail = re.search(r"dota[a-z0-9]{0,6}?(tate?|toc|tok|noc|nok)(?![a-z])", squeezed)
    tail = tail or re.search(r"dot?(tate)(?![a-z])", squeezed)
    if not found and tail:
        found.add({"ta": "DOTATATE", "to": "DOTATOC", "no": "DOTANOC"}[tail.group(1)[:2]])
    return found


def _edit_distance(a: str, b: str) -> int:
    """Optimal string alignment: insertion, deletion, substitution, swap of neighbours each cost 1."""
    if abs(len(a) - len(b)) > 1:
        return abs(len(a) - len(b))  # a lower bound: more than any distance that is asked for
    rows = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            cost = a[i - 1] != b[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]
