"""Learn which elements neighbouring files share, so that a whole run of them is recognised at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any, Final, NamedTuple

from liverpair.dicom.bvalue import PRIVATE_TAGS, private_b_value
from liverpair.dicom.header_facts import Facts, decode_head
from liverpair.dicom.header_sequences import UnusualError
from liverpair.dicom.plain import KEYWORD_OF_TAG

__all__ = ["ACTIONS", "GROUPS", "KEY", "PIXELS", "PRIVATE", "Kind", "Run", "Stretch"]

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
#: A longer element ends a run: comparing and keeping it would cost more than the step it saves.
LONGEST_IN_RUN: Final = 2048
SHORTEST_RUN: Final = 2
#: The attributes that ``private_b_value`` consults beside the private elements; a test watches over that.
B_VALUE_READS: Final = ("ScanningSequence",)
B_VALUES_REMEMBERED: Final = 100
#: A run is looked up by the first bytes of its first element: tag, VR and length.
KEY: Final = 8


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


class Stretch(NamedTuple):
    """Elements that lie one behind the other: where each begins in ``data``, and behind the last, where it ends."""

    data: bytes
    marks: list[int]

    def elements(self) -> list[bytes]:
        """The bytes of each element."""
        return [self.data[start:end] for start, end in pairwise(self.marks)]


class Kind:
    """What is remembered of the objects of one series."""

    __slots__ = ("_b_values", "_fewest_steps", "_files", "_first", "facts", "learning", "runs")

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        #: Runs by the first bytes of their first element.
        self.runs: dict[bytes, Run] = {}
        #: Whether the next file is to be walked without runs, and its elements given to ``learn``.
        self.learning = True
        self._first: list[Stretch] = []
        self._b_values: dict[Any, float | None] = {}
        self._fewest_steps: int | None = None
        self._files = 0

    def learn(self, stretches: list[Stretch]) -> None:
        """Note the elements of a file; of the second one, what it shares with the first makes the runs."""
        if not self._first:
            self._first = stretches
            return
        seen = frozenset(element for stretch in self._first for element in stretch.elements())
        found = [run for stretch in stretches for run in self._runs(stretch.elements(), seen)]
        self.runs = {run.content[:KEY]: run for run in found}
        self.learning, self._first = False, []
        self._fewest_steps, self._files = None, 0

    def count(self, steps: int) -> None:
        """Note the single steps that a file took; learn from the next ones if there were too many."""
        self._files += 1
        fewest = steps if self._fewest_steps is None else min(steps, self._fewest_steps)
        self._fewest_steps = fewest
        self.learning = steps > fewest + STEPS_TOO_MANY and self._files >= FILES_BETWEEN_LEARNING

    def b_value(self, private: Mapping[int, bytes], header: Mapping[str, Any]) -> float | None:
        """The b-value that the private elements state (``bvalue``), remembered by all that it depends on."""
        key = (tuple(private.items()), *(tuple(header.get(keyword, ())) for keyword in B_VALUE_READS))
        if key not in self._b_values:
            if not self.facts.syntax.little_endian:
                raise UnusualError("private elements in big endian")
            if len(self._b_values) >= B_VALUES_REMEMBERED:
                self._b_values.clear()
            try:
                self._b_values[key] = private_b_value(self.facts.private(private), dict(header))
            except Exception as error:
                raise UnusualError("private elements that pydicom has to judge") from error
        return self._b_values[key]

    def _runs(self, elements: list[bytes], seen: frozenset[bytes]) -> list[Run]:
        def shared(element: bytes) -> bool:
            if element not in seen or len(element) > LONGEST_IN_RUN:
                return False
            return ACTIONS.get(decode_head(element, self.facts.syntax)[0]) != GROUPS

        groups = [list(group) for together, group in groupby(elements, shared) if together]
        return [self._run(group) for group in groups if len(group) >= SHORTEST_RUN]

    def _run(self, elements: list[bytes]) -> Run:
        facts: dict[str, Any] = {}
        private: dict[int, bytes] = {}
        tags = [decode_head(element, self.facts.syntax)[0] for element in elements]
        for tag, element in zip(tags, elements, strict=True):
            if ACTIONS.get(tag) == PRIVATE:
                private[tag] = element
            elif tag in KEYWORD_OF_TAG:
                keyword, value = self.facts.fact(element)
                if value is not None:
                    facts[keyword] = value
        return Run(b"".join(elements), tags[0], tags[-1], facts, private)
