"""Plan a study: how many pairs and patients give intervals of a given width, alone or from a pilot's calls."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from liverpair.core.errors import UsageError
from liverpair.evaluate.power import Design, Need, study_size
from liverpair.evaluate.precision import design_of_calls
from liverpair.evaluate.tables import parse_calls
from liverpair.flow.answer import Answer
from liverpair.flow.user_tables import read_user_table

__all__ = ["design_of_pilot", "power"]


def design_of_pilot(path: Path, design: Design) -> Design:
    """``design`` with prevalence, pairs per patient and intracluster correlation as a table of calls shows them."""
    rows = read_user_table(path)  # names the file itself
    try:
        return design_of_calls(parse_calls(rows), design)
    except UsageError as error:
        raise UsageError(f"{path.name}: {error}") from error


def _said(name: str, need: Need) -> str:
    low, high = need.interval
    return (
        f"{name}: {need.units} pairs of its kind, so {need.pairs} pairs of {need.patients} patients "
        f"(expected interval {100 * low:.1f}–{100 * high:.1f} %)."
    )


def power(design: Design, pilot: Path | None) -> Answer:
    """The size of a study whose intervals for sensitivity and specificity are at most ``design.width`` wide."""
    if pilot is not None:
        design = design_of_pilot(pilot, design)
    size = study_size(design)
    sentence = "\n".join(
        (
            f"{size.pairs} pairs of {size.patients} patients are needed.",
            _said("Sensitivity", size.sensitivity),
            _said("Specificity", size.specificity),
            f"Taken: {100 * design.prevalence:.1f} % of pairs positive, {design.pairs_per_patient:.2f} a patient, "
            f"intracluster correlation {design.icc:.2f} (design effect {size.design_effect:.2f}).",
        )
    )
    return Answer({"design": asdict(design), **asdict(size)}, sentence)
