"""The table of where in its liver every lesion lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liverpair.evaluate.location_text import location_sentence
from liverpair.flow.tables import COLUMNS, Row

__all__ = ["location_rows"]


def location_rows(records: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The rows of locations.csv from the records (case.json) by pair_id, in their order."""
    taken = [column for column in COLUMNS["locations"] if column not in ("pair_id", "lesion_id", "text")]
    return [
        {
            "pair_id": pair_id,
            "lesion_id": lesion_id,
            **{column: location[column] for column in taken},
            "text": location_sentence(location),
        }
        for pair_id, record in records.items()
        for lesion_id, location in sorted(record.get("location", {}).items())
    ]
