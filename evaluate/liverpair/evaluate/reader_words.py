"""Agreement between readers in sentences that a paper can take over."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["sentences", "strength"]

#: Upper ends of Landis and Koch's words for kappa (Biometrics 33 (1977) 159); above the last it is almost perfect.
STRENGTHS = ((0.0, "poor"), (0.2, "slight"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial"))


def strength(kappa: float | None) -> str:
    """Landis and Koch's word for a kappa; "" where there is none."""
    if kappa is None:
        return ""
    return next((word for end, word in STRENGTHS if kappa < end or (kappa == end > 0)), "almost perfect")


def _number(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def _coefficient(name: str, found: Mapping[str, Any]) -> str:
    """ "κ 0.81 (0.63 to 0.93), almost perfect", or why there is none."""
    value, interval = found["value"], found["intervals"].get("bootstrap")
    if value is None:
        return f"{name} is not defined, because every answer is the same"
    ends = f" ({_number(interval[0])} to {_number(interval[1])})" if interval else ""
    return f"{name} {_number(value)}{ends}, {strength(value)}"


def _shares(found: Mapping[str, Any], level: float, kappa: str = "κ") -> str:
    """ "46 of 50 pairs (92.0 %, 95 % CI 81.2–96.9; κ 0.81 ...)"."""
    a = found["agreement"]
    interval = a["intervals"].get("korn_graubard") or a["intervals"]["clopper_pearson"]
    ends = f", {100 * level:g} % CI {100 * interval[0]:.1f}–{100 * interval[1]:.1f}" if interval else ""
    noun = "pair" if a["n"] == 1 else "pairs"
    return f"{a['k']} of {a['n']} {noun} ({100 * a['value']:.1f} %{ends}; {_coefficient(kappa, found['kappa'])})"


def _named(reader: str) -> str:
    """A reader's name in a sentence: "reader AB", but "Reader 1" as it stands."""
    return reader if reader.casefold().startswith("reader") else f"reader {reader}"


def _both(first: str, second: str) -> str:
    """Two readers at the beginning of a sentence."""
    plain = _named(first) == first or _named(second) == second
    return f"{_capital(_named(first))} and {_named(second)}" if plain else f"Readers {first} and {second}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _what(examination: str) -> str:
    return "the pair's outcome" if examination == "pair outcome" else examination


def sentences(result: Mapping[str, Any], level: float) -> list[str]:
    """What the readings show: all readers, one reader twice, every two readers."""
    every = [
        f"Any two of the {r['readers']} readers agreed on {_what(r['examination'])} in "
        f"{100 * r['agreement']['value']:.1f} % of their readings ({r['pairs']} pairs; "
        f"{_coefficient('Fleiss κ', r['fleiss_kappa'])})."
        for r in result["all_readers"]
        if r["agreement"]["value"] is not None
    ]
    again = [
        f"{_capital(_named(r['reader']))}, reading again, said the same on {_what(r['examination'])} in "
        f"{_shares(r, level)}."
        for r in result["repeated"]
        if r["agreement"]["n"]
    ]
    two = [
        f"{_both(r['reader_a'], r['reader_b'])} agreed on {_what(r['examination'])} in {_shares(r, level)}."
        for r in result["two_readers"]
        if r["agreement"]["n"]
    ]
    return every + again + two if every else two + again
