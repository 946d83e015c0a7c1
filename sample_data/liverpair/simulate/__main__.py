"""Write a simulated archive: ``python -m liverpair.simulate OUT --seed N [--pairs n] [--jobs n]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from liverpair.simulate.cases import DEFAULT_CASES, random_cases
from liverpair.simulate.cohort import DEMO_SEED, write_cohort


def main(arguments: list[str] | None = None) -> int:
    """Parse the command line and write the cohort; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m liverpair.simulate", description=__doc__)
    parser.add_argument("out", type=Path, help="folder for the DICOM files, reports.csv and truth.json (new or empty)")
    parser.add_argument("--seed", type=int, default=DEMO_SEED)
    parser.add_argument("--pairs", type=int, help="draw this many random cases instead of the demo's")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes")
    options = parser.parse_args(arguments)
    if options.out.exists() and any(options.out.iterdir()):
        sys.stderr.write("the output folder is not empty; name a new one\n")
        return 2
    cases = DEFAULT_CASES if options.pairs is None else random_cases(options.pairs, options.seed)

    def progress(done: int, total: int) -> None:
        sys.stderr.write(f"\r{done} of {total} cases")
        sys.stderr.flush()

    write_cohort(options.out, options.seed, cases, progress, options.jobs)
    sys.stderr.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
