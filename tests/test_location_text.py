"""The sentence that says where a lesion lies."""

from __future__ import annotations

import pytest
from liverpair.evaluate.location_text import location_sentence
from liverpair.flow.locations import location_rows
from liverpair.flow.tables import COLUMNS, format_table

PLACE = {
    "capsule_mm": 12.4, "capsule_sd_mm": 3.0, "sector": "right_posterior", "sector_probability": 0.91,
    "lobe": "right", "lobe_probability": 0.99, "dome_probability": 0.03, "flags": (),
}  # fmt: skip


def test_a_sure_place_is_named_by_its_sector() -> None:
    assert location_sentence(PLACE) == "right posterior sector (91%), 12 ± 3 mm below the capsule"


def test_an_unsure_sector_is_said_after_the_lobe() -> None:
    assert location_sentence(PLACE | {"sector_probability": 0.6}).startswith(
        "right lobe (99%), likeliest the right posterior sector (60%)"
    )


def test_a_place_on_the_border_of_the_lobes_is_said_to_be_there() -> None:
    said = location_sentence(PLACE | {"sector_probability": 0.4, "lobe_probability": 0.55})
    assert said.startswith("between the lobes")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dome_probability": 0.8}, "in the dome (80%)"),
        ({"flags": ("outside",)}, "outside the liver's outline"),
        ({"flags": ("fov_truncated",)}, "the field of view cuts the liver"),
    ],
)
def test_what_makes_a_place_special_is_said(change: dict[str, object], words: str) -> None:
    assert words in location_sentence(PLACE | change)


def test_the_table_of_locations_has_a_row_for_every_lesion_that_was_placed() -> None:
    records = {"P2": {"location": {"M2": PLACE | {"height": 0.4, "height_sd": 0.03}}}, "P1": {}}
    rows = location_rows(records)
    assert [(row["pair_id"], row["lesion_id"]) for row in rows] == [("P2", "M2")]
    assert format_table(COLUMNS["locations"], rows).count("\n") == 2
