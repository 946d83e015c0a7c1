"""Name the tracer of a PET from header facts alone, or say that it is unknown; never guess one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from liverpair.dicom.ligands import FAMILY, SSR_LIGANDS, fits, ligand_of_code, ligands_in_text
from liverpair.dicom.nuclides import NuclideDecision, identify_nuclide, nuclide_in_text

__all__ = ["UNKNOWN", "HeaderLike", "TracerDecision", "TracerSettings", "identify_tracer"]

UNKNOWN = "unknown"
THERAPEUTIC = frozenset({"177Lu", "90Y"})
#: Nuclides that label no somatostatin-receptor ligand: the half-lives are too short for the peptide's way, or the
#: chemistry does not reach it. A PET of these needs no ligand to be told from SSR-PET.
NEVER_SSR = frozenset({"11C", "13N", "15O", "82Rb", "123I", "124I", "131I"})
#: Where a description comes from, the nearest to the images first.
DESCRIPTIONS = (
    ("the series", "SeriesDescription"),
    ("the protocol", "ProtocolName"),
    ("the study", "StudyDescription"),
    ("the request", "RequestedProcedureDescription"),
)


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

    ``reason`` is the sentence for a reader; ``flags`` e.g. therapeutic, ligand_assumed, nuclide_contradictory,
    several_radiopharmaceuticals.
    """

    name: str
    nuclide: str
    ligand: str
    is_ssr: bool
    reason: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Source:
    """A place in the header and the ligands it names."""

    where: str
    found: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Injection:
    """One item of the Radiopharmaceutical Information Sequence."""

    nuclide: NuclideDecision
    own: tuple[_Source, ...]

    @property
    def says_something(self) -> bool:
        return bool(self.nuclide.name or any(source.found for source in self.own))


@dataclass(frozen=True, slots=True)
class _Facts:
    """What decides: the nuclide, what the radiopharmaceutical (``own``) and the ``descriptions`` name, flags so far."""

    nuclide: str
    by_text: str
    own: tuple[_Source, ...]
    descriptions: tuple[_Source, ...]
    flags: tuple[str, ...]

    def flagged(self, flag: str) -> _Facts:
        return replace(self, flags=(*self.flags, flag))


def identify_tracer(header: HeaderLike, settings: TracerSettings = TracerSettings()) -> TracerDecision:  # frozen
    """Decide the tracer from radiopharmaceutical codes and text, nuclide, and the descriptions, in this order.

    The radiopharmaceutical's own statement outranks descriptions, which come from templates; a description counts only
    for ligands that the nuclide can carry. Of several radiopharmaceuticals that differ (two injections on one day) the
    one that the series' descriptions name is taken, otherwise the tracer is unknown.
    """
    texts = [(where, _joined(header.first(keyword))) for where, keyword in DESCRIPTIONS]
    texts.append(("the procedure code", " ".join(m for _, m in _codes(header.first("ProcedureCodeSequence")))))
    descriptions = tuple(_Source(where, frozenset(ligands_in_text(text))) for where, text in texts)
    named_nuclide = _first(nuclide_in_text(text) for _, text in texts)
    items = header.first("RadiopharmaceuticalInformationSequence")
    outside = str(header.first("Radiopharmaceutical") or "")
    injections = [_injection(item, outside) for item in items or [{}] if isinstance(item, Mapping)]
    telling = [injection for injection in injections if injection.says_something] or [_injection({}, outside)]
    decisions = [
        _decide(_facts(injection, descriptions, named_nuclide), settings) for injection in dict.fromkeys(telling)
    ]
    if len({d.name for d in decisions}) == 1:
        return decisions[0]
    return _among(decisions, descriptions)


def _injection(item: Mapping[str, Any], outside: str) -> _Injection:
    """Nuclide and ligands of one item; ``outside`` is the attribute's old place outside the sequence."""
    text = str(item.get("Radiopharmaceutical") or outside)
    codes = _codes(item.get("RadiopharmaceuticalCodeSequence"))
    text = " ".join([text, *(meaning for _, meaning in codes)])
    nuclides = [(value, "", meaning) for value, meaning in _codes(item.get("RadionuclideCodeSequence"))]
    nuclide = identify_nuclide(nuclides, _number(item.get("RadionuclideHalfLife")), text)
    coded = frozenset(ligand_of_code(value) for value, _ in codes) - {""}
    own = (
        _Source("the radiopharmaceutical's code", coded),
        _Source("the radiopharmaceutical", frozenset(ligands_in_text(text))),
    )
    return _Injection(nuclide, own)


def _facts(injection: _Injection, descriptions: tuple[_Source, ...], named_nuclide: str) -> _Facts:
    nuclide = injection.nuclide.name or named_nuclide
    flags = ["nuclide_contradictory"] if injection.nuclide.contradictory else []
    if nuclide in THERAPEUTIC:
        flags.append("therapeutic")
    return _Facts(nuclide, injection.nuclide.by_text, injection.own, descriptions, tuple(flags))


def _among(decisions: Sequence[TracerDecision], descriptions: Sequence[_Source]) -> TracerDecision:
    """Of several radiopharmaceuticals the one that the first telling description names."""
    flag = "several_radiopharmaceuticals"
    for source in descriptions:
        named = [
            d for d in decisions if d.ligand and (d.ligand in source.found or (d.is_ssr and "SSR" in source.found))
        ]
        if len(named) == 1:
            reason = f"of several radiopharmaceuticals {source.where} names {named[0].ligand}"
            return replace(named[0], reason=reason, flags=(*named[0].flags, flag))
    found = ", ".join(sorted({d.name for d in decisions}))
    reason = f"several radiopharmaceuticals ({found}) and no description says which one the images show"
    return TracerDecision(UNKNOWN, "", "", False, reason, (flag,))


def _named_in(sources: Iterable[_Source], nuclide: str) -> list[_Source]:
    """Sources that name ligands (not just the family) which the nuclide can carry, reduced to those."""
    fitting = (_Source(s.where, frozenset(x for x in s.found - FAMILY if fits(x, nuclide))) for s in sources)
    return [source for source in fitting if source.found]


def _family_in(sources: Iterable[_Source], nuclide: str, words: frozenset[str] = FAMILY) -> list[_Source]:
    """Sources that speak of the receptor or of the disease, with a nuclide that makes this enough."""
    return [s for s in sources if any(fits(x, nuclide) for x in s.found & words)]


def _decide(facts: _Facts, settings: TracerSettings) -> TracerDecision:
    """What the radiopharmaceutical names, else what the descriptions name, else the family, else nothing."""
    nuclide = facts.nuclide
    own, described = _named_in(facts.own, nuclide), _named_in(facts.descriptions, nuclide)
    if own:
        return _by_own(facts, own, described)
    if _family_in(facts.own, nuclide, frozenset({"SSR"})):
        return _by_own_family(facts, described)
    if described:
        return _by_description(facts, described)
    misfits = {x for source in facts.own for x in source.found if not fits(x, nuclide)} - FAMILY
    receptor = _family_in(facts.descriptions, nuclide, frozenset({"SSR"}))
    if misfits and nuclide and (misfits & SSR_LIGANDS or not receptor):
        return _by_misfit(facts, misfits)
    family = _family_in((*facts.own, *facts.descriptions), nuclide)
    if family and nuclide:
        reason = f"{family[0].where} speaks of somatostatin receptors or NET, no ligand is named"
        return _named(facts.flagged("ligand_unnamed"), "SSR", reason)
    if nuclide in settings.ssr_nuclides_without_ligand:
        return _named(facts.flagged("ligand_assumed"), "SSR", f"{nuclide} without any ligand, taken for SSR by setting")
    if nuclide in NEVER_SSR:
        return _named(facts, "other", f"{nuclide} labels no somatostatin-receptor ligand")
    return _unknown(facts, f"no ligand is named (nuclide {nuclide or 'unknown'})")


def _by_own(facts: _Facts, own: Sequence[_Source], described: Sequence[_Source]) -> TracerDecision:
    """Code and text of the radiopharmaceutical; a description may only cast doubt on a ligand of another family."""
    classes = {x in SSR_LIGANDS for source in own for x in source.found}
    if len(classes) > 1:
        return _contradictory(facts, "the radiopharmaceutical's code and text name", own)
    if len(own[0].found) > 1:
        return _several(facts, own[0])
    ligand = next(iter(own[0].found))
    against = [s for s in described if ligand not in s.found and s.found & SSR_LIGANDS]
    if ligand not in SSR_LIGANDS and against:
        return _contradictory(facts, f"{own[0].where} says {ligand} and the descriptions name", against)
    return _named(facts, ligand, f"{own[0].where} names {ligand}")


def _by_own_family(facts: _Facts, described: Sequence[_Source]) -> TracerDecision:
    """The radiopharmaceutical speaks of DOTA or the receptor: a description may name the ligand, or contradict."""
    if not described:
        reason = "the radiopharmaceutical speaks of somatostatin receptors, no ligand is named"
        return _named(facts.flagged("ligand_unnamed"), "SSR", reason)
    if any(source.found & SSR_LIGANDS for source in described):
        first = next(source for source in described if source.found & SSR_LIGANDS)
        return _several(facts, _Source(first.where, first.found & SSR_LIGANDS))
    return _contradictory(
        facts, "the radiopharmaceutical speaks of DOTA or the receptor, the descriptions of", described
    )


def _by_description(facts: _Facts, described: Sequence[_Source]) -> TracerDecision:
    """Descriptions alone: those of both families among them contradict unless one names both."""
    first = described[0]
    others = [s for s in described[1:] if not s.found & first.found]
    mixed = {x in SSR_LIGANDS for source in (first, *others) for x in source.found}
    if len(mixed) > 1:
        return _contradictory(facts, "the descriptions name", [first, *others])
    return _several(facts, first)


def _several(facts: _Facts, source: _Source) -> TracerDecision:
    """A source that names one ligand, or several of one family."""
    if len(source.found) == 1:
        ligand = next(iter(source.found))
        return _named(facts, ligand, f"{source.where} names {ligand}")
    if source.found <= SSR_LIGANDS:
        return _named(facts, "SSR", f"{source.where} names several ligands of one family")
    return _contradictory(facts, f"{source.where} names", [source])


def _by_misfit(facts: _Facts, misfits: set[str]) -> TracerDecision:
    """Only ligands that the stated nuclide does not label: the ligand's own text may name the true nuclide."""
    reason = f"the header names {', '.join(sorted(misfits))}, which {facts.nuclide} does not label"
    ligand = next(iter(misfits)) if len(misfits) == 1 else ""
    facts = facts.flagged("nuclide_contradictory")
    if ligand in SSR_LIGANDS:
        true = facts.by_text if facts.by_text and fits(ligand, facts.by_text) else ""
        return _named(replace(facts, nuclide=true), ligand, reason)
    return _unknown(facts, reason)


def _contradictory(facts: _Facts, words: str, sources: Sequence[_Source]) -> TracerDecision:
    found = ", ".join(sorted({x for source in sources for x in source.found}))
    return _unknown(facts.flagged("ligand_contradictory"), f"{words} {found}")


def _unknown(facts: _Facts, reason: str) -> TracerDecision:
    return TracerDecision(UNKNOWN, facts.nuclide, "", False, reason, tuple(dict.fromkeys(facts.flags)))


def _named(facts: _Facts, ligand: str, reason: str) -> TracerDecision:
    nuclide = facts.nuclide
    return TracerDecision(
        f"{nuclide}-{ligand}" if nuclide else ligand,
        nuclide,
        ligand,
        ligand in SSR_LIGANDS,
        f"{reason}; nuclide {nuclide or 'unknown'}",
        tuple(dict.fromkeys(facts.flags)),
    )


def _codes(items: Any) -> list[tuple[str, str]]:
    """(value, meaning) of a code sequence in plain JSON; long and URN code values count like short ones."""
    if not isinstance(items, list):
        return []
    return [
        (str(i.get("CodeValue") or i.get("LongCodeValue") or ""), str(i.get("CodeMeaning") or ""))
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
