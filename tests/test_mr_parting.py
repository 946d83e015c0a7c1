"""A metastasis that touches a cyst stays a metastasis, and the cyst a cyst."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_lesions import detect_mr
from liverpair.segment.mr_parting import Claim, part_kinds
from liverpair.segment.mr_regions import MrRegion

METASTASIS = {"mr-hbp": 0.45, "mr-t2": 2.0, "mr-dwi": 2.8}
CYST = {"mr-hbp": 0.45, "mr-t2": 5.5, "mr-dwi": 0.9}  # bile or blood: as dark as cells in the hepatobiliary phase
SPACING = {"mr-hbp": (1.2, 1.2, 3.0), "mr-t2": (1.4, 1.4, 5.0), "mr-dwi": (2.2, 2.2, 5.0)}
HERE, THERE = np.array([55.0, 48.0, 51.0]), np.array([63.0, 48.0, 51.0])
METASTASIS_MM, CYST_MM = 12.0, 8.0
GRID = Grid((30, 20, 20), np.eye(4))


def _image(role: str) -> Volume:
    step = np.array(SPACING[role])
    n = np.ceil(np.array([120.0, 96.0, 102.0]) / step).astype(int)
    grid = Grid((int(n[0]), int(n[1]), int(n[2])), np.diag([*step, 1.0]))
    places = np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))
    values = np.where(np.all((places > 12) & (places < [108, 84, 90]), axis=-1), 1.0, 0.3)
    here = np.linalg.norm(places - HERE, axis=-1) / METASTASIS_MM
    there = np.linalg.norm(places - THERE, axis=-1) / CYST_MM
    values[here < 0.5] = METASTASIS[role]
    values[(there < 0.5) & (there < here)] = CYST[role]
    noise = np.random.default_rng(4).normal(0, 0.05, grid.shape)
    return Volume((1000 * (values + noise)).astype(np.float32), grid, "")


def test_a_metastasis_and_the_fluid_beside_it_are_both_reported_in_their_places() -> None:
    images = {role: _image(role) for role in SPACING}
    grid = images["mr-hbp"].grid
    places = np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))
    found = detect_mr(images, Mask(np.all((places > 12) & (places < [108, 84, 90]), axis=-1), grid))
    likely = {c.nature: c for c in found.candidates if c.confidence > 0.5}
    assert len(likely) == 2  # the smaller one's nature is fluid or blood: too small for more
    benign = next(c for nature, c in likely.items() if nature is not Nature.METASTASIS)
    assert np.linalg.norm(likely[Nature.METASTASIS].centre_lps - HERE) < 1.5
    assert np.linalg.norm(benign.centre_lps - THERE) < 1.5
    label = likely[Nature.METASTASIS].label
    volume = np.count_nonzero(found.labels.values == label) * grid.voxel_volume_mm3
    assert volume == pytest.approx(np.pi / 6 * METASTASIS_MM**3, rel=0.2)


def _claim(at: tuple[float, float, float], diameter_mm: float, kind: str) -> Claim:
    """A focus whose region is all of a box of 20x10x10 voxels."""
    voxels = np.ones((20, 10, 10), dtype=bool)
    region = MrRegion(np.array([4, 4, 4]), voxels, voxels.astype(np.float32), (10, 5, 5), np.array(at), 0.0, ())
    return Claim(region, np.array(at), diameter_mm, kind)


def test_what_two_kinds_claim_goes_to_the_nearer_in_units_of_its_diameter() -> None:
    left, right = part_kinds([_claim((6.0, 9.0, 9.0), 6.0, "a"), _claim((21.0, 9.0, 9.0), 12.0, "b")], GRID)
    assert not (left.voxels & right.voxels).any(axis=(1, 2)).all()
    border = np.flatnonzero(left.voxels[:, 5, 5]).max() + 4
    assert border == 11  # at 5 mm of 6, against 10 mm of 12
    assert np.count_nonzero(left.voxels | right.voxels) == left.voxels.size
    assert (left.kind, right.kind) == ("a", "b")


def test_one_kind_or_a_core_within_its_lesion_is_left_alone() -> None:
    alike = part_kinds([_claim((6.0, 9.0, 9.0), 6.0, "a"), _claim((21.0, 9.0, 9.0), 12.0, "a")], GRID)
    core = part_kinds([_claim((13.0, 9.0, 9.0), 6.0, "a"), _claim((15.0, 9.0, 9.0), 12.0, "b")], GRID)
    for region in (*alike, *core):
        assert region.voxels.all()
        assert region.kind == ""
