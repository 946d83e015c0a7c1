"""The vocabulary and the grammar of report labels: short probes, whose words each stand in several frames."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from liverpair.evaluate.labels import label_report
from liverpair.evaluate.labels.rules import LANGUAGES

CORPUS = Path(__file__).parent / "data" / "labels"

#: Probes that are still labelled wrong, and why.
WRONG = {
    "Eine Filialisierung in die Leber hat nicht stattgefunden.": "read as an examination that did not take place",
    "Lebermetastase Segment VI, 11 mm (Aszites 15 mm Saum).": "a rim of fluid is taken for one of a lesion",
    "Eine Metastasierung in die Knochen besteht nicht, eine solche in die Leber schon.": "nothing but 'schon' affirms",
    "Diktat: Leber Doppelpunkt Metastase in Segment sieben Komma fünfzehn Millimeter Punkt": "read as 7.15 mm",
    "Background hepatic activity is homogeneous, SUVmean 5.6.": "the background is no statement on the liver",
}


class Probe(NamedTuple):
    """A text and what any clinician says of it; ``count`` is None where it is not judged."""

    text: str
    modality: str
    status: str
    largest_mm: float | None
    count: int | None


def probes(language: str, *, every_frame: bool) -> Iterator[Probe]:
    """All single probes, and each word of the families in every frame or in one, which changes from word to word."""
    table = tomllib.loads((CORPUS / f"probes_{language}.toml").read_text(encoding="utf-8"))
    for family in table["family"]:
        frames = family["frames"]
        for number, word in enumerate(family["words"]):
            for frame in frames if every_frame else [frames[number % len(frames)]]:
                yield _probe(frame, frame["text"].replace("{}", word), family["modality"])
    for single in table["probe"]:
        yield _probe(single, single["text"], single["modality"])


def _probe(told: dict[str, Any], text: str, modality: str) -> Probe:
    return Probe(text, modality, told["status"], told.get("mm"), told.get("count"))


def failures(language: str, *, every_frame: bool) -> list[str]:
    """What is labelled otherwise, a line each."""
    lines = []
    for probe in probes(language, every_frame=every_frame):
        label = label_report(probe.text, probe.modality)
        found = (label.status, label.largest_mm, label.count if probe.count is not None else None)
        if found != (probe.status, probe.largest_mm, probe.count) and probe.text not in WRONG:
            lines.append(f"{probe.text!r}: {found}, not {(probe.status, probe.largest_mm, probe.count)}")
    return lines


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_field_is_understood_in_one_frame(language: str) -> None:
    wrong = failures(language, every_frame=False)
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_word_of_the_field_is_understood_in_all_frames(language: str) -> None:
    wrong = failures(language, every_frame=True)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_probes_are_many_and_none_stands_twice(language: str) -> None:
    texts = [probe.text for probe in probes(language, every_frame=True)]
    assert len(texts) > 2000
    assert len(set(texts)) == len(texts)
