"""Judge what a focus on MR is: a small one by the balance of its answers, another by its core's signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liverpair.core.lesion import Nature
from liverpair.segment.mr_evidence import Sequence as MrSequence
from liverpair.segment.mr_evidence import SequencePeak
from liverpair.segment.mr_kinds import TELLING, Answer, kind_shares, kind_words
from liverpair.segment.mr_nature import Testimony, core_ratio, metastasis_share, nature_of
from liverpair.segment.mr_small import SMALL_MM, SmallSearch, small_evidence, small_log_odds

__all__ = ["Kind", "SmallFocus", "judge_small", "kind_of"]

#: A small focus is called benign where a metastasis is less likely than this (a missed one is worse than an unread
#: cyst), or less likely than the second where its core's signals say so, too; below the second its nature is uncertain.
BENIGN_BELOW, UNCERTAIN_BELOW = 0.38, 0.8
#: Sequences in whose core a small focus shows what contrast it has at least; diffusion weighting is too noisy for that,
#: and its core is sought for.
BOUNDING = ("mr-hbp", "mr-t2")


@dataclass(frozen=True, slots=True, eq=False)
class SmallFocus:
    """What the matched filters say of a small focus: its log-odds as cells and as fluid, and every sequence's answer to
    the largest template.
    """

    cells: float
    fluid: float
    answers: dict[str, tuple[float, float]]


def judge_small(search: SmallSearch, leads: Sequence[SequencePeak]) -> dict[int, SmallFocus]:
    """The evidence of the foci small enough for the matched filters to judge, by number."""
    small = [n for n, lead in enumerate(leads) if lead.diameter_mm <= SMALL_MM[-1]]
    if not small:
        return {}
    lps = np.stack([leads[n].lps for n in small])
    scale = np.array([int(np.argmin(np.abs(np.asarray(SMALL_MM) - leads[n].diameter_mm))) for n in small])
    evidence = small_evidence(search, lps, scale)
    cells, fluid = small_log_odds(search, evidence), small_log_odds(search, evidence, fluid=True)
    whole = small_evidence(search, lps, np.full(len(small), len(SMALL_MM) - 1))
    found = {}
    for row, number in enumerate(small):
        answers = {role: (float(z[row]), float(whole.gain[role][row])) for role, z in whole.answer.items()}
        found[number] = SmallFocus(float(cells[row]), float(fluid[row]), answers)
    return found


@dataclass(frozen=True, slots=True)
class Kind:
    """What a focus is taken for, the sentence that says why, and how likely it is a metastasis if called one."""

    nature: Nature
    reason: str
    share: float


def kind_of(
    sequences: dict[str, MrSequence], lead: SequencePeak, evidence: Testimony, small: SmallFocus | None
) -> Kind:
    """A small focus' kind by the balance of its answers and its core's signals, another's by the latter alone."""
    nature, reason = nature_of(sequences, lead, evidence)
    if small is not None and any(role in small.answers for role in TELLING):
        return _small_kind(sequences, lead, evidence, small, nature)
    share, doubt = metastasis_share(sequences, lead, evidence) if nature is Nature.METASTASIS else (1.0, "")
    return Kind(nature, reason or doubt, share)


def _small_kind(
    sequences: dict[str, MrSequence], lead: SequencePeak, evidence: Testimony, small: SmallFocus, core: Nature
) -> Kind:
    answers = {}
    for role, (z, gain) in small.answers.items():
        seen = sequences[role].sign * evidence.core[role] - 2.0 * evidence.core_sd[role] if role in BOUNDING else 0.0
        answers[role] = Answer(z, gain, max(seen, 0.0), sequences[role].darkness)
    shares = kind_shares(answers, lead.diameter_mm, core_ratio(sequences, "mr-adc", lead, evidence))
    share, words = shares[Nature.METASTASIS], kind_words(answers)
    if share < (UNCERTAIN_BELOW if core is not Nature.METASTASIS else BENIGN_BELOW):
        nature = max((Nature.HAEMANGIOMA, Nature.CYST), key=lambda kind: shares[kind])
        what = "free fluid" if nature is Nature.CYST else "slow blood"
        return Kind(nature, f"Reads as {what}: {words}.", 1.0)
    doubt = f"Its nature is uncertain (a metastasis at {share:.0%}): {words}." if share < UNCERTAIN_BELOW else ""
    return Kind(Nature.METASTASIS, doubt, share)
