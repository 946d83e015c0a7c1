"""What a large lesion is: fluid and slow blood are alike throughout, a necrotic metastasis has a living rim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_evidence import SequencePeak, prepare_sequence
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_nature import Testimony as Said
from liverpair.segment.mr_nature import confidence_of, has_living_rim

#: Signals against liver of a lesion's rim and of its core (0.28 diameters around its middle), by sequence.
NECROTIC = {"mr-hbp": (0.45, 0.3), "mr-t2": (2.3, 5.5), "mr-dwi": (3.2, 1.25)}
HAEMANGIOMA = {"mr-hbp": (0.45, 0.45), "mr-t2": (4.5, 4.5), "mr-dwi": (1.75, 1.75)}
CYST = {"mr-hbp": (0.15, 0.15), "mr-t2": (7.5, 7.5), "mr-dwi": (0.45, 0.45)}
SPACING = {"mr-hbp": (1.4, 1.4, 3.0), "mr-t2": (1.4, 1.4, 6.0), "mr-dwi": (2.3, 2.3, 6.0)}
CENTRE, DIAMETER_MM = np.array([61.0, 47.0, 52.0]), 23.0


def _grid(role: str) -> Grid:
    step = np.array(SPACING[role])
    n = np.ceil(np.array([120.0, 100.0, 105.0]) / step).astype(int)
    return Grid((int(n[0]), int(n[1]), int(n[2])), np.diag([*step, 1.0]))


def _places(grid: Grid) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    return np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))


def _image(role: str, looks: dict[str, tuple[float, float]], core_share: float = 0.28) -> Volume:
    grid = _grid(role)
    places = _places(grid)
    distance = np.linalg.norm(places - CENTRE, axis=-1)
    inside = np.all((places > 12) & (places < [108, 88, 93]), axis=-1)
    rim, core = looks[role]
    values = np.where(inside, 1.0, 0.3)
    values[distance < DIAMETER_MM / 2] = rim
    values[distance < core_share * DIAMETER_MM] = core
    noise = np.random.default_rng(5).normal(0, 0.08, grid.shape)
    return Volume((1000 * (values + noise)).astype(np.float32), grid, "")


@pytest.mark.parametrize(
    ("looks", "nature"),
    [(NECROTIC, Nature.METASTASIS), (HAEMANGIOMA, Nature.HAEMANGIOMA), (CYST, Nature.CYST)],
)
def test_a_core_of_fluid_in_a_living_rim_is_a_metastasis_and_even_fluid_is_not(
    looks: dict[str, tuple[float, float]], nature: Nature
) -> None:
    grid = _grid("mr-hbp")
    liver = Mask(np.all((_places(grid) > 12) & (_places(grid) < [108, 88, 93]), axis=-1), grid)
    found = detect_mr({role: _image(role, looks) for role in SPACING}, liver)
    near = [c for c in found.candidates if np.linalg.norm(c.centre_lps - CENTRE) < 5.0]
    assert [c.nature for c in near] == [nature]
    assert near[0].confidence > 0.9


def test_a_necrotic_metastasis_is_one_candidate_of_its_whole_size() -> None:
    grid = _grid("mr-hbp")
    liver = Mask(np.all((_places(grid) > 12) & (_places(grid) < [108, 88, 93]), axis=-1), grid)
    found = detect_mr({role: _image(role, NECROTIC) for role in SPACING}, liver)
    near = [c for c in found.candidates if np.linalg.norm(c.centre_lps - CENTRE) < DIAMETER_MM / 2 + 3]
    assert len(near) == 1
    volume = np.count_nonzero(found.labels.values == near[0].label) * grid.voxel_volume_mm3
    assert (6 * volume / np.pi) ** (1 / 3) == pytest.approx(DIAMETER_MM, rel=0.1)


@pytest.mark.parametrize("core_share", [0.2, 0.36])
def test_a_thin_or_thick_rim_makes_it_one_metastasis_of_its_whole_size(core_share: float) -> None:
    looks = NECROTIC | {"mr-hbp": (0.45, 0.22), "mr-dwi": (3.0, 0.85)}
    grid = _grid("mr-hbp")
    liver = Mask(np.all((_places(grid) > 12) & (_places(grid) < [108, 88, 93]), axis=-1), grid)
    found = detect_mr({role: _image(role, looks, core_share) for role in SPACING}, liver)
    near = [c for c in found.candidates if np.linalg.norm(c.centre_lps - CENTRE) < DIAMETER_MM / 2 + 3]
    assert [c.nature for c in near] == [Nature.METASTASIS]
    volume = np.count_nonzero(found.labels.values == near[0].label) * grid.voxel_volume_mm3
    assert (6 * volume / np.pi) ** (1 / 3) == pytest.approx(DIAMETER_MM, rel=0.1)


def test_diffusion_weighting_that_surely_shows_nothing_speaks_more_than_one_that_cannot_tell() -> None:
    grid = _grid("mr-hbp")
    liver = Mask(np.all((_places(grid) > 12) & (_places(grid) < [108, 88, 93]), axis=-1), grid)
    sequences = {}
    for role in SPACING:
        prepared = prepare_sequence(role, _image(role, HAEMANGIOMA), liver, (11.3,), 20.0, 6.0, 12.0)
        assert prepared is not None
        sequences[role] = prepared
    lead = SequencePeak("mr-t2", CENTRE, 11.3, 6.0, 0.5)

    def odds(core: float, spread: float, voxels: float) -> float:
        evidence = Said(
            {"mr-hbp": 6.0, "mr-t2": 6.0, "mr-dwi": 1.0},
            {"mr-hbp": -0.4, "mr-t2": 0.4, "mr-dwi": core},
            {"mr-hbp": 0.01, "mr-t2": 0.01, "mr-dwi": spread},
            {"mr-hbp": 100.0, "mr-t2": 50.0, "mr-dwi": voxels},
        )
        p = confidence_of(sequences, lead, evidence)
        return math.log(p / (1 - p))

    assert odds(0.05, 0.04, 24.0) < odds(0.3, 0.04, 24.0) - 2.5
    assert odds(0.05, 0.2, 24.0) > odds(0.05, 0.04, 24.0) + 1.0  # noise may hide what a metastasis would show
    assert odds(0.05, 0.04, 3.0) > odds(0.05, 0.04, 24.0) + 1.0  # a few voxels prove little


@pytest.mark.parametrize(("rim", "living"), [(2.1, True), (5.5, False)])
def test_a_shell_that_diffusion_weighting_keeps_where_t2_has_lost_its_core_is_living(rim: float, living: bool) -> None:
    """A necrosis as bright on diffusion weighting as what lives around it; an even haemangioma loses both at once."""
    looks = {"mr-hbp": (0.45, 0.45), "mr-t2": (rim, 5.5), "mr-dwi": (2.6, 2.6)}
    grid = _grid("mr-hbp")
    liver = Mask(np.all((_places(grid) > 12) & (_places(grid) < [108, 88, 93]), axis=-1), grid)
    sequences = {}
    for role in ("mr-t2", "mr-dwi"):
        prepared = prepare_sequence(role, _image(role, looks, 0.25), liver, (16.0,), 20.0, 6.0, 12.0)
        assert prepared is not None
        sequences[role] = prepared
    lead = SequencePeak("mr-dwi", CENTRE, 20.0, 20.0, 0.8)
    assert not has_living_rim(sequences["mr-dwi"], lead)
    assert has_living_rim(sequences["mr-dwi"], lead, sequences["mr-t2"]) is living
