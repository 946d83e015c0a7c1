"""A lesion that a liver's mask leaves out at the capsule is found, flagged and doubted a little; an organ is not."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Nature
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_beyond import lesions_beyond
from liverpair.segment.mr_lesions import detect_mr
from scipy.ndimage import gaussian_filter

SPACING = {"mr-hbp": (1.2, 1.2, 3.0), "mr-t2": (1.4, 1.4, 4.0), "mr-dwi": (2.2, 2.2, 4.0)}
SIZE = np.array([170.0, 130.0, 130.0])
METASTASIS = {"mr-hbp": 0.4, "mr-t2": 2.1, "mr-dwi": 2.4}
FLUID = {"mr-hbp": 0.35, "mr-t2": 4.2, "mr-dwi": 1.0}
OUTSIDE = 0.3
AT, DIAMETER_MM = np.array([100.0, 65.0, 65.0]), 28.0  # the liver ends at x = 108: half a bulge and a bay


def _places(grid: Grid) -> np.ndarray:
    return np.asarray(grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)))


def _box(places: np.ndarray) -> np.ndarray:
    return np.all((places > [14, 16, 16]) & (places < [108, 114, 114]), axis=-1)


def _ball(places: np.ndarray, at: np.ndarray, diameter: float) -> np.ndarray:
    return np.linalg.norm(places - at, axis=-1) < diameter / 2


def _image(role: str, parts: list[tuple[np.ndarray, float, dict[str, float]]]) -> Volume:
    step = np.array(SPACING[role])
    n = np.ceil(SIZE / step).astype(int)
    grid = Grid((int(n[0]), int(n[1]), int(n[2])), np.diag([*step, 1.0]))
    places = _places(grid)
    values = np.where(_box(places), 1.0, OUTSIDE)
    for at, diameter, signal in parts:
        values[_ball(places, at, diameter)] = signal[role]
    noise = np.random.default_rng(3).normal(0, 0.04, grid.shape)
    return Volume((1000 * (gaussian_filter(values, 0.5) + noise)).astype(np.float32), grid, "")  # 1.2 voxels wide


def _case(
    parts: list[tuple[np.ndarray, float, dict[str, float]]], left_out: float = DIAMETER_MM
) -> tuple[dict[str, Volume], Mask]:
    """The images, and a liver mask without the first part."""
    images = {role: _image(role, parts) for role in SPACING}
    grid = images["mr-hbp"].grid
    places = _places(grid)
    return images, Mask(_box(places) & ~_ball(places, parts[0][0], left_out + 2.0), grid)


def test_a_lesion_left_out_at_the_capsule_is_one_candidate_of_its_whole_size_flagged_and_less_certain() -> None:
    images, liver = _case([(AT, DIAMETER_MM, METASTASIS)])
    found = detect_mr(images, liver)
    assert len(found.candidates) == 1
    candidate = found.candidates[0]
    assert candidate.nature is Nature.METASTASIS
    assert "beyond_liver_mask" in candidate.flags
    assert 0.5 < candidate.confidence < 0.9
    assert np.linalg.norm(candidate.centre_lps - AT) < 2.0
    volume = np.count_nonzero(found.labels.values) * found.labels.grid.voxel_volume_mm3
    assert volume == pytest.approx(np.pi / 6 * DIAMETER_MM**3, rel=0.15)


def test_the_same_lesion_in_a_whole_mask_carries_no_flag() -> None:
    images, _ = _case([(AT, DIAMETER_MM, METASTASIS)])
    grid = images["mr-hbp"].grid
    whole = Mask(_box(_places(grid)) | _ball(_places(grid), AT, DIAMETER_MM), grid)
    found = detect_mr(images, whole)
    assert len(found.candidates) == 1
    assert "beyond_liver_mask" not in found.candidates[0].flags
    assert found.candidates[0].confidence > 0.9
    assert lesions_beyond(images, whole, grid) is None


@pytest.mark.parametrize("core_mm", [15.0, 21.0])
def test_a_necrotic_core_belongs_to_what_was_left_out(core_mm: float) -> None:
    images, liver = _case([(AT, DIAMETER_MM, METASTASIS), (AT, core_mm, FLUID | {"mr-dwi": 0.8})])
    found = lesions_beyond(images, liver, images["mr-hbp"].grid)
    assert found is not None
    assert found.values[tuple(np.rint(found.grid.to_index(AT)).astype(int))]
    assert found.volume_ml == pytest.approx(np.pi / 6 * DIAMETER_MM**3 / 1000, rel=0.3)


def test_an_organ_that_the_liver_only_touches_is_left_alone() -> None:
    """A kidney: as bright on T2 and diffusion weighting, but with one side at the liver."""
    kidney = np.array([130.0, 65.0, 65.0])
    images, liver = _case([(kidney, 44.0, METASTASIS)], left_out=44.0)
    assert lesions_beyond(images, liver, images["mr-hbp"].grid) is None


def test_what_does_not_end_or_is_bright_on_one_sequence_only_is_left_alone() -> None:
    images, liver = _case([(AT, DIAMETER_MM, METASTASIS)])
    grid = images["mr-hbp"].grid
    assert lesions_beyond({role: images[role] for role in ("mr-hbp", "mr-t2")}, liver, grid) is None
    gallbladder, around = _case([(AT, DIAMETER_MM, FLUID)])
    assert lesions_beyond(gallbladder, around, grid) is None
    cut = int(round(104.0 / SPACING["mr-hbp"][0]))
    image = images["mr-hbp"].cropped(np.array([0, 0, 0]), np.array([cut, *grid.shape[1:]]))
    shorter = Mask(liver.values[:cut], image.grid)
    assert lesions_beyond(images | {"mr-hbp": image}, shorter, image.grid) is None
