"""Hot organs beside the liver: found, named from where they lie, their reach flagged; foci of the liver are none."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.pet_neighbours import hot_neighbours, organ_name

from tests.test_pet_lesions import CENTRE, PLACES, SHAPE, STEP, liver, phantom

BOWEL = ((0.0, 0.0, -82.0), 40.0, 3.0)


@pytest.mark.parametrize(
    ("place", "volume", "name"),
    [
        ((0.35, 0.9, 0.1), 100.0, "kidney"),
        ((0.45, 0.85, 0.5), 4.0, "adrenal"),
        ((1.05, 0.8, 0.6), 150.0, "spleen"),
        ((0.85, 0.3, 0.6), 60.0, "stomach"),
        ((0.4, 0.4, 0.2), 30.0, "gallbladder"),
        ((0.15, 0.3, -0.1), 80.0, "colon"),
        ((0.65, 0.5, 0.05), 20.0, "duodenum"),
        ((0.7, 0.3, 1.1), 90.0, "heart"),
    ],
)
def test_an_organ_is_named_from_its_place_against_the_liver(place: tuple[float, ...], volume: float, name: str) -> None:
    assert organ_name(np.array(place), volume) == name


def test_a_focus_within_the_bowel_s_reach_is_flagged_and_kept_and_one_away_is_not() -> None:
    image, mask, reference = phantom([BOWEL, ((0.0, 0.0, -53.0), 12.0, 4.0), ((40.0, -10.0, 10.0), 12.0, 4.0)], 3)
    found = detect_pet(image, mask, reference)
    assert found.facts["hot_neighbours"] == ["duodenum"]
    flags = {
        name: next(c.flags for c in found.candidates if np.linalg.norm(c.centre_lps / STEP - at) < 3)
        for name, at in (
            ("near", np.array((0.0, 0.0, -53.0)) / STEP + CENTRE),
            ("far", np.array((40.0, -10.0, 10.0)) / STEP + CENTRE),
        )
    }
    assert "beside_duodenum" in flags["near"]
    assert not any(flag.startswith("beside_") for flag in flags["far"])


def test_the_reach_is_longer_cranio_caudally_than_in_the_plane() -> None:
    grid = Grid(SHAPE, np.diag([*STEP, 1.0]))
    organ = np.linalg.norm(PLACES - np.array((0.0, 0.0, -78.0)), axis=-1) < 12
    (found,) = hot_neighbours(np.where(organ, 20.0, 1.0).astype(np.float32), liver(), liver(), grid, 5.0, 0.1, 5.0)
    zone = found.zone & ~organ
    above = PLACES[zone & (np.abs(PLACES[..., 0]) < 3) & (np.abs(PLACES[..., 1]) < 3)]
    beside = PLACES[zone & (np.abs(PLACES[..., 2] + 78) < 2) & (np.abs(PLACES[..., 1]) < 3)]
    along, across = above[:, 2].max() + 66, np.abs(beside[:, 0]).max() - 8  # the last voxel of the ball lies at 8
    assert 8 <= along <= 15  # 12.5 mm, less what smoothing takes off the ball, in steps of 3 mm
    assert 4 <= across <= 8  # 7 mm, in steps of 4 mm
    assert along > across


def test_the_tail_of_a_lesion_at_the_border_is_no_neighbour() -> None:
    image, mask, reference = phantom([((0.0, 0.0, 54.0), 16.0, 8.0)], 4)
    assert detect_pet(image, mask, reference).facts["hot_neighbours"] == []
