"""Whether a sentence only asks for metastases, or only advises how to look for them."""

from __future__ import annotations

from collections.abc import Sequence

from liverpair.evaluate.labels.reading import Reading
from liverpair.evaluate.labels.rules import Hit

__all__ = ["advises_only", "is_open_question"]


def is_open_question(hit: Hit, reading: Reading) -> bool:
    """A sentence that only asks ("Lebermetastasen?") and describes nothing."""
    several = reading.words.count("?") > 1 and any(f.category == "benign" for f in reading.findings)  # "Filia? Zyste?"
    measured = any(token.kind == "number" for token in reading.sentence.tokens)
    lesion = next((f for f in reading.findings if f.category == "lesion"), None)
    stated = lesion is not None and bool(
        {",", "(", ":", "-"} & set(reading.words[lesion.end :])
    )  # "Leberherd, Metastase?"
    asked = reading.sentence.question and not _asks_behind_mark(hit, reading)
    return asked and not measured and not several and not stated


def _asks_behind_mark(hit: Hit, reading: Reading) -> bool:
    """ "V.a. Metastase -> Punktion?": the question behind the arrow or the semicolon names no lesion."""
    words = reading.words
    mark = next((i for i in range(len(words) - 1, 0, -1) if words[i] == ";" or words[i - 1 : i + 1] == ["-", ">"]), -1)
    return hit.end <= mark and not any(f.start > mark for f in reading.findings)


_ADVICE = ("recommend", "advis", "suggest", "empf", "angerat")


def advises_only(doubt: Hit, findings: Sequence[Hit], reading: Reading) -> bool:
    """ "MRI recommended to exclude metastases": advice, unless the sentence has a lesion that it doubts."""
    advised = any(word.startswith(_ADVICE) for word in reading.words[doubt.start : doubt.end])
    described = any(f.category in ("lesion", "uptake", "benign") and f.end <= doubt.start for f in findings)
    return advised and not described
