"""Name the tracer of a PET from header facts alone, or say that it is unknown; never guess one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from liverpair.dicom.nuclides import compact, identify_nuclide, nuclide_in_text

__all__ = ["UNKNOWN", "HeaderLike", "TracerDecision", "TracerSettings", "identify_tracer"]

UNKNOWN = "unknown"


class HeaderLike(Protocol):
    """Anything that answers with an attribute's first value: a Stack, a SeriesRecord, or a wrapped data set."""

    def first(self, keyword: str, default: Any = None) -> Any:
        """The attribute's value, or ``default``."""
        ...


@dataclass(frozen=True, slots=True)
class TracerSettings:
    """How much the header has to say before a PET counts as somatostatin-receptor PET.

    ``ssr_nuclides_without_ligand``: nuclides that are taken for SSR ligands where no text or code names a ligand at
    all. ¹⁷⁷Lu is the default's only one: post-therapy SPECT stored as PET carries no ligand on common systems, and the
    decision is flagged. A header that names another ligand (PSMA) always wins.
    """

    ssr_nuclides_without_ligand: tuple[str, ...] = ("177Lu",)


@dataclass(frozen=True, slots=True)
class TracerDecision:
    """``name`` is nuclide-ligand ("68Ga-DOTATATE"), "68Ga-SSR" where only the family is known, or "unknown".

    ``reason`` is the sentence for a reader; ``flags`` e.g. therapeutic, ligand_assumed, nuclide_contradictory.
    """

    name: str
    nuclide: str
    ligand: str
    is_ssr: bool
    reason: str
    flags: tuple[str, ...] = ()


#: Ligand codes of CID 4021 that matter here (any scheme; the values do not collide).
LIGAND_CODES = {
    "724025002": "DOTATATE",
    "C2713594": "DOTATOC",
    "35321007": "FDG",
    "C-B1031": "FDG",
    "129501009": "NaF",
    "126703": "choline",
    "456992002": "choline",
    "424708001": "FET",
    "5811000122108": "DOPA",
    "126758": "PSMA",
    "126759": "PSMA",
    "C118961": "PSMA",
    "C116352": "PSMA",
    "C96234": "PSMA",
    "926372005": "FES",
    "457000009": "fluciclovine",
}
SSR_LIGANDS = frozenset(
    {
        "DOTATATE",
        "DOTATOC",
        "DOTANOC",
        "SiTATE",
        "SiTOC",
        "DOTALAN",
        "SARTATE",
        "JR11",
        "NOTA-octreotide",
        "SSR",
    }
)
#: What ligands_in_text says of texts that name no ligand.
FAMILY = frozenset({"SSR", "NET"})
#: Patterns searched in the compacted text (lower-case letters and digits only). International and trade names;
#: German, English and French spellings differ only in their ends.
LIGAND_PATTERNS = {
    "SiTATE": "sitate|sifalintat|sifalinoctreotat",
    "SiTOC": "sifalintoc",
    "SARTATE": "sartate",
    "JR11": "jr11|satoreotid|ops20[12]",
    "NOTA-octreotide": "notaoctreotid|alfnotaoct|alfoctreotid",
    "DOTATATE": "dotatat(?!oc)|octreotat|oxodotreotid|netspot|detectnet|lutathera",
    "DOTATOC": "dotatatoc|dotatoc|tyr3octreotid|edotreotid|somakit|dotaoctreotid",
    "DOTANOC": "dotanoc|1?na[li]3?octreotid|donanoc",
    "DOTALAN": "dotalan",
    "FDG": "fdg|fludeoxyglu|deoxyglu[ck]|desoxyglu[ck]|desoxiglu[ck]",
    "PSMA": "psma|piflufolastat|gozetotid|illuccix|locametz|pylarify|dcfpyl|dcfbc|flotufolastat|posluma|pluvicto|"
    "vipivotid|prostatespecificmembrane|prostataspezifisch",
    "FAPI": "fapi|fap2286|fibroblastactivation|fibroblastenaktiv",
    "choline": "cholin",
    "NaF": "sodiumfluorid|natriumfluorid|fluoruredesodium",
    "FET": "ethyll?tyros",
    "DOPA": "dopa",
    "FES": "estradiol",
    "fluciclovine": "fluciclovin|axumin|facbc",
    "pentixafor": "pentixafor|cxcr4",
    "exendin": "exendin",
    "bombesin": "bombesin|neobomb",
    "amyloid": "florbeta[pb]|flutemetamol|amyloid|neuraceq|amyvid|vizamyl",
    "tau": "flortaucipir|tauvid",
    "methionine": "methionin",
    "MIBG": "mibg|mfbg",
    "rubidium": "cardiogen",
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
    "sitoc": "SiTOC",
    "tate": "DOTATATE",
    "toc": "DOTATOC",
    "noc": "DOTANOC",
    "fap": "FAPI",
}
#: The receptor itself: with any nuclide of the family enough for "…-SSR".
RECEPTOR_WORDS = ("somatostatin", "sstr", "sst2", "octreo", "dotapept")
RECEPTOR_TOKENS = frozenset({"ssr", "ssa", "ssrpet", "dota"})
#: The disease: enough with a metal (⁶⁸Ga, ⁶⁴Cu), not with ¹⁸F, which labels FDG and DOPA for the same disease.
DISEASE_WORDS = ("neuroendokrin", "neuroendocrin")
DISEASE_TOKENS = frozenset({"net", "nets", "nen", "nens", "gepnet", "gepnen"})
#: Which nuclides a ligand is made with; absent: any. DOTA carries metals, never ¹⁸F or ¹¹C.
METALS = frozenset({"68Ga", "66Ga", "64Cu", "61Cu", "177Lu", "90Y", "86Y", "111In", "44Sc", "89Zr", "152Tb", "99mTc"})
COMPATIBLE = {
    "FDG": frozenset({"18F"}), "NaF": frozenset({"18F"}), "FET": frozenset({"18F"}), "FES": frozenset({"18F"}),
    "FLT": frozenset({"18F"}), "hypoxia": frozenset({"18F"}), "tau": frozenset({"18F"}),
    "fluciclovine": frozenset({"18F"}), "DOPA": frozenset({"18F"}), "choline": frozenset({"18F", "11C"}),
    "methionine": frozenset({"11C"}), "amyloid": frozenset({"18F", "11C"}),
    "MIBG": frozenset({"123I", "124I", "131I", "18F"}),
    "DOTATATE": METALS, "DOTATOC": METALS, "DOTANOC": METALS, "DOTALAN": METALS, "SARTATE": METALS, "JR11": METALS,
    "SiTATE": frozenset({"18F"}), "SiTOC": frozenset({"18F"}), "NOTA-octreotide": frozenset({"18F", "68Ga", "64Cu"}),
    "SSR": METALS | {"18F"}, "NET": METALS, "pentixafor": METALS, "exendin": METALS, "rubidium": frozenset({"82Rb"}),
}  # fmt: skip
THERAPEUTIC = frozenset({"177Lu", "90Y"})
#: Names of DOTA peptides within one typing error; longer distances meet other words.
TYPO_TARGETS = {"dotatate": "DOTATATE", "dotatoc": "DOTATOC", "dotanoc": "DOTANOC"}


def identify_tracer(header: HeaderLike, settings: TracerSettings = TracerSettings()) -> TracerDecision:  # frozen
    """Decide the tracer from radiopharmaceutical codes and text, nuclide, and the descriptions, in this order."""
    injections = header.first("RadiopharmaceuticalInformationSequence") or []
    injection: Mapping[str, Any] = injections[0] if injections else {}
    pharmaceutical = str(injection.get("Radiopharmaceutical") or header.first("Radiopharmaceutical") or "")
    pharmacy_codes = _codes(injection.get("RadiopharmaceuticalCodeSequence"))
    meanings = " ".join(meaning for _, _, meaning in pharmacy_codes)
    nuclide = identify_nuclide(
        _codes(injection.get("RadionuclideCodeSequence")),
        _number(injection.get("RadionuclideHalfLife")),
        f"{pharmaceutical} {meanings}",
    )
    described = [str(header.first(k) or "") for k in ("SeriesDescription", "ProtocolName")]
    described += [_joined(header.first(k)) for k in ("StudyDescription", "RequestedProcedureDescription")]
    described += [" ".join(m for _, _, m in _codes(header.first("ProcedureCodeSequence")))]
    name = nuclide.name or _first(nuclide_in_text(text) for text in described)
    stated = {LIGAND_CODES[c.upper()] for c, _, _ in pharmacy_codes if c.upper() in LIGAND_CODES}
    sources = [
        ("the radiopharmaceutical's code", stated),
        ("the radiopharmaceutical", ligands_in_text(f"{pharmaceutical} {meanings}")),
        *zip(("the series", "the protocol", "the study", "the request", "the procedure code"),
             map(ligands_in_text, described), strict=True),
    ]  # fmt: skip
    flags = ["nuclide_contradictory"] if nuclide.contradictory else []
    if name in THERAPEUTIC:
        flags.append("therapeutic")
    return _decide(name, nuclide.by_text, sources, flags, settings)


def _decide(
    nuclide: str,
    by_text: str,
    sources: list[tuple[str, set[str]]],
    flags: list[str],
    settings: TracerSettings,
) -> TracerDecision:
    """The first source that names exactly one ligand its nuclide can carry decides; contradictions end in unknown."""
    fitting = [(where, {x for x in found if _fits(x, nuclide)}) for where, found in sources]
    named = [(where, found - FAMILY) for where, found in fitting if found - FAMILY]
    if named:
        return _by_ligand(nuclide, named, flags)
    family = [where for where, found in fitting if found & FAMILY]
    # descriptions come from templates (a MIBG order for a ¹⁷⁷Lu scan): only the radiopharmaceutical itself contradicts
    misfits = {x for _, found in sources[:2] for x in found if not _fits(x, nuclide)} - FAMILY
    if misfits and nuclide:
        return _by_misfit(nuclide, by_text, misfits, flags)
    if family and nuclide:
        reason = f"{family[0]} speaks of somatostatin receptors or NET, no ligand is named"
        return _named(nuclide, "SSR", reason, [*flags, "ligand_unnamed"])
    if nuclide in settings.ssr_nuclides_without_ligand:
        reason = f"{nuclide} without any ligand, taken for SSR by setting"
        return _named(nuclide, "SSR", reason, [*flags, "ligand_assumed"])
    return TracerDecision(
        UNKNOWN, nuclide, "", False, f"no ligand is named (nuclide {nuclide or 'unknown'})", tuple(flags)
    )


def _by_ligand(nuclide: str, named: list[tuple[str, set[str]]], flags: list[str]) -> TracerDecision:
    where, found = named[0]
    if len(found) > 1:
        return _family_or_unknown(nuclide, found, where, flags)
    ligand = next(iter(found))
    against = {x for _, other in named[1:] if ligand not in other for x in other}
    if ligand not in SSR_LIGANDS and against & SSR_LIGANDS:
        reason = f"{where} says {ligand} and the descriptions say {', '.join(sorted(against))}"
        return TracerDecision(UNKNOWN, nuclide, "", False, reason, (*flags, "ligand_contradictory"))
    return _named(nuclide, ligand, f"{where} names {ligand}", flags)


def _by_misfit(nuclide: str, by_text: str, misfits: set[str], flags: list[str]) -> TracerDecision:
    """Only ligands that the stated nuclide does not label: the ligand's own text may name the true nuclide."""
    reason = f"the header names {', '.join(sorted(misfits))}, which {nuclide} does not label"
    ligand = next(iter(misfits)) if len(misfits) == 1 else ""
    if ligand in SSR_LIGANDS:
        true = by_text if by_text and _fits(ligand, by_text) else ""
        return _named(true, ligand, reason, [*flags, "nuclide_contradictory"])
    return TracerDecision(UNKNOWN, nuclide, "", False, reason, (*flags, "nuclide_contradictory"))


def _family_or_unknown(nuclide: str, found: set[str], where: str, flags: list[str]) -> TracerDecision:
    if found <= SSR_LIGANDS:
        return _named(nuclide, "SSR", f"{where} names several ligands of one family", flags)
    reason = f"{where} names {', '.join(sorted(found))}"
    return TracerDecision(UNKNOWN, nuclide, "", False, reason, (*flags, "ligand_contradictory"))


def _named(nuclide: str, ligand: str, reason: str, flags: Iterable[str]) -> TracerDecision:
    is_ssr = ligand in SSR_LIGANDS
    name = f"{nuclide}-{ligand}" if nuclide else ligand
    return TracerDecision(
        name,
        nuclide,
        ligand,
        is_ssr,
        f"{reason}; nuclide {nuclide or 'unknown'}",
        tuple(dict.fromkeys(flags)),
    )


def _fits(ligand: str, nuclide: str) -> bool:
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
    """DOTA peptides one typing error away; an equal distance to two of them names the family only.

    The ending decides where the body is garbled (DOTATATOC, DOTA-TOK): TATE, TOC and NOC are what differs.
    """
    found = set()
    candidates = {t for t in tokens if 5 <= len(t) <= 11}
    for word in candidates:
        near = {name for target, name in TYPO_TARGETS.items() if _edit_distance(word, target) <= 1}
        if near:
            found.add(near.pop() if len(near) == 1 else "SSR")
    tail = re.search(r"dota[a-z0-9]{0,6}?(tate?|toc|tok|noc|nok)(?![a-z])", squeezed)
    if not found and tail:
        found.add({"ta": "DOTATATE", "to": "DOTATOC", "no": "DOTANOC"}[tail.group(1)[:2]])
    return found


def _edit_distance(a: str, b: str) -> int:
    """Optimal string alignment: insertion, deletion, substitution, swap of neighbours each cost 1."""
    rows = [[i + j if i * j == 0 else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            cost = a[i - 1] != b[j - 1]
            rows[i][j] = min(rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + cost)
            if i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]:
                rows[i][j] = min(rows[i][j], rows[i - 2][j - 2] + 1)
    return rows[-1][-1]


def _codes(items: Any) -> list[tuple[str, str, str]]:
    """(value, scheme, meaning) of a code sequence in plain JSON."""
    if not isinstance(items, list):
        return []
    return [
        (
            str(i.get("CodeValue") or ""),
            str(i.get("CodingSchemeDesignator") or ""),
            str(i.get("CodeMeaning") or ""),
        )
        for i in items
        if isinstance(i, Mapping)
    ]


def _joined(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _number(value: Any) -> float | None:
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _first(values: Iterable[str]) -> str:
    return next((v for v in values if v), "")
