"""Learn which elements neighbouring files share, so that a whole run of them is recognised at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Final

from liverpair.dicom.bvalue import PRIVATE_TAGS, private_b_value
from liverpair.dicom.header_facts import Facts, decode_head
from liverpair.dicom.header_sequences import UnusualError
from liverpair.dicom.plain import KEYWORD_OF_TAG

__all__ = ["ACTIONS", "GROUPS", "KEY", "PIXELS", "PRIVATE", "Kind", "Run"]

PIXELS: Final = "PixelData"
GROUPS: Final = "FunctionalGroups"
PRIVATE: Final = ""
#: What to do at a tag: take the attribute of this keyword, or one of the three above. Others are stepped over.
ACTIONS: Final[dict[int, str]] = {
    **KEYWORD_OF_TAG,
    **{int(tag): PRIVATE for tag in PRIVATE_TAGS},
    **dict.fromkeys((0x7FE00008, 0x7FE00009, 0x7FE00010), PIXELS),
    **dict.fromkeys((0x52009229, 0x52009230), GROUPS),
}
#: Runs are learned again when a file took this many single steps more than the best since the last learning ...
STEPS_TOO_MANY: Final = 12
#: ... but not more often than this, since learning costs as much as five files.
FILES_BETWEEN_LEARNING: Final = 16
#: Learning takes two files: what they have in common is what neighbours share.
FILES_TO_LEARN: Final = 2
#: A longer element ends a run: comparing and keeping it would cost more than the step it saves.
LONGEST_IN_RUN: Final = 2048
SHORTEST_RUN: Final = 2
#: Runs remembered at a time; beyond that all are forgotten and learned again.
RUNS_REMEMBERED: Final = 1000
#: The attributes that ``private_b_value`` consults beside the private elements; a test watches over that.
B_VALUE_READS: Final = ("ScanningSequence",)
B_VALUES_REMEMBERED: Final = 1000
#: A run is looked up by the first bytes of its first element: tag, VR and length.
KEY: Final = 8


def _no_run(_: bytes) -> Run | None:
    return None


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes of consecutive elements, and all that follows from them.

    ``facts`` are values by keyword, ``private`` the bytes of elements in vendors' private blocks by tag.
    """

    content: bytes
    first_tag: int
    last_tag: int
    facts: dict[str, Any]
    private: dict[int, bytes]


@dataclass(slots=True)
class Kind:
    """What is remembered of objects of one storage class, encoding and character set."""

    facts: Facts
    runs: dict[bytes, Run] = field(default_factory=dict)
    b_values: dict[Any, float | None] = field(default_factory=dict)
    _seen: frozenset[bytes] = frozenset()
    _to_learn: int = FILES_TO_LEARN
    _fewest_steps: int | None = None
    _files: int = 0

    def find_run(self) -> Callable[[bytes], Run | None]:
        """The look-up of runs by the first bytes of an element; finds none while learning."""
        return _no_run if self.learning else self.runs.get

    def b_value(self, private: Mapping[int, bytes], facts: Mapping[str, Any]) -> float | None:
        """The b-value that the private elements state (``bvalue``), remembered by all that it depends on."""
        key = (tuple(private.items()), *(tuple(facts.get(keyword, ())) for keyword in B_VALUE_READS))
        if key not in self.b_values:
            if not self.facts.syntax.little_endian:
                raise UnusualError("private elements in big endian")
            if len(self.b_values) >= B_VALUES_REMEMBERED:
                self.b_values.clear()
            self.b_values[key] = private_b_value(self.facts.private(private), dict(facts))
        return self.b_values[key]

    @property
    def learning(self) -> bool:
        """Whether the next file is to be walked without runs, and its elements given to ``learn``."""
        return self._to_learn > 0

    def learn(self, stretches: Sequence[Sequence[bytes]]) -> None:
        """Take what this file shares with the one learned from before for what neighbours share.

        Each stretch is the bytes of elements that lie one behind the other in the file.
        """
        if self._seen:
            found = [run for stretch in stretches for run in self._runs(stretch)]
            kept = self.runs if len(self.runs) + len(found) <= RUNS_REMEMBERED else {}
            self.runs = kept | {run.content[:KEY]: run for run in found}
        self._seen = frozenset(element for stretch in stretches for element in stretch)
        self._to_learn -= 1
        self._fewest_steps, self._files = None, 0

    def count(self, steps: int) -> None:
        """Note the single steps that a file took; learn from the next ones if there were too many."""
        self._files += 1
        fewest = steps if self._fewest_steps is None else min(steps, self._fewest_steps)
        self._fewest_steps = fewest
        if steps > fewest + STEPS_TOO_MANY and self._files >= FILES_BETWEEN_LEARNING:
            self._seen, self._to_learn = frozenset(), FILES_TO_LEARN

    def _runs(self, stretch: Sequence[bytes]) -> list[Run]:
        seen = self._seen
        found = []
        for shared, elements in groupby(stretch, lambda element: element in seen and len(element) <= LONGEST_IN_RUN):
            run = list(elements)
            if shared and len(run) >= SHORTEST_RUN:
                found.append(self._run(run))
        return found

    def _run(self, elements: Sequence[bytes]) -> Run:
        facts: dict[str, Any] = {}
        private: dict[int, bytes] = {}
        tags = [decode_head(element, self.facts.syntax)[0] for element in elements]
        for tag, element in zip(tags, elements, strict=True):
            action = ACTIONS.get(tag)
            if action == PRIVATE:
                private[tag] = element
            elif tag in KEYWORD_OF_TAG:
                keyword, value = self.facts.fact(element)
                if value is not None:
                    facts[keyword] = value
        return Run(b"".join(elements), tags[0], tags[-1], facts, private)
