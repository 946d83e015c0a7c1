"""How many reports a second are labelled: held-out reports in German and English, and the longer ones of later hands.

    python -m benchmarks.labels [ROUNDS]

Reads tests/data/labels of this checkout. Prints reports and characters a second of CPU time, the median of the rounds
(3 unless told otherwise), and the first round, which compiles the rules. Asked of it: 500 reports a second.
"""

from __future__ import annotations

import statistics
import sys
import time
import tomllib
from pathlib import Path

from liverpair.evaluate.labels import label_report

CORPUS = Path(__file__).resolve().parent.parent / "tests" / "data" / "labels"
SETS = {"held-out reports": ("heldout_de", "heldout_en"), "longer reports": ("dev19_de", "dev19_en")}


def _texts(names: tuple[str, ...]) -> list[str]:
    files = [tomllib.loads((CORPUS / f"{name}.toml").read_text(encoding="utf-8")) for name in names]
    return [report["text"] for file in files for report in file["report"]]


def _seconds(texts: list[str]) -> float:
    start = time.process_time()
    for text in texts:
        label_report(text)
    return time.process_time() - start


def main() -> None:
    """Label both sets and print the rates."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    for name, files in SETS.items():
        texts = _texts(files)
        first = _seconds(texts)
        median = statistics.median(_seconds(texts) for _ in range(rounds))
        size = sum(map(len, texts))
        print(
            f"{name}: {len(texts)} of {size // len(texts)} characters, {len(texts) / median:.0f} reports/s, "
            f"{size / median / 1000:.0f} kB/s (first round {len(texts) / first:.0f} reports/s)"
        )


if __name__ == "__main__":
    main()
