"""What a command answers: a value for programs, a sentence for people, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """``value`` is printed as JSON where --json asks for it, ``sentence`` otherwise; ``code`` is the exit code."""

    value: Any
    sentence: str
    code: int = 0
