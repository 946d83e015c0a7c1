"""Where small foci may be: what all sequences say together at every place of the main one, residual motion allowed.

A focus too faint for any single sequence may still be plain to all of them. Each other sequence answers with the
likelihood of its matched answer under a ball of a metastasis' contrast against that under noise, averaged over the
contrasts that metastases have and over the places to which residual motion may have brought the ball: the ideal
observer's answer for a shift that is not known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter

from liverpair.core.geometry import Grid

__all__ = ["DISTORTED_MM", "SHIFT_MM", "Answer", "joint_map"]

#: Residual motion (SD, mm) between the main sequence and another; diffusion weighting is distorted besides.
SHIFT_MM, DISTORTED_MM = 1.5, 2.0
#: Contrasts of metastases as shares of the typical one, equally likely.
CONTRASTS = (0.6, 1.0, 1.5)
#: No answer is expected beyond this many SDs, and none counts outside these: one sequence alone does not decide.
MOST_EXPECTED, COUNTED = 8.0, (-6.0, 12.0)
#: Log-likelihood ratios of a sequence count between these, its weight against the main answer's, per SD.
RATIO_RANGE, RATIO_WEIGHT, MAIN_WEIGHT = (-3.0, 5.0), 0.8, 0.7
#: The main answer counts between these (SDs).
MAIN_COUNTED = (0.0, 12.0)
#: The widest blur in voxels: coarse voxels need none.
WIDEST_VOXELS = 3.0

#: One sequence's matched answer [i, j, k] (SDs), its grid, what a ball of contrast 1 would answer, the typical
#: contrast, and the SD of its residual motion in mm.
Answer = tuple[NDArray[np.float32], Grid, float, float, float]


def _log_ratio(answer: Answer) -> NDArray[np.float32]:
    """log of (likelihood with a metastasis near each voxel / without)."""
    z, grid, gain, typical, motion = answer
    heard = np.clip(z, *COUNTED)
    total = np.zeros_like(heard)
    for share in CONTRASTS:
        expected = min(share * typical * gain, MOST_EXPECTED)
        total += np.exp(np.clip(expected * heard - 0.5 * expected**2, -30.0, 30.0))
    near = gaussian_filter(total / len(CONTRASTS), np.minimum(motion / grid.spacing, WIDEST_VOXELS), truncate=2.5)
    return np.asarray(np.log(np.maximum(near, 1e-6)), dtype=np.float32)


def joint_map(main: NDArray[np.float32], grid: Grid, others: list[Answer]) -> NDArray[np.float32]:
    """Log-odds (up to a constant) of a small focus at every voxel of the main sequence.

    ``main`` is its matched answer on ``grid``; each of ``others`` is read on its own grid in the same frame (LPS mm)
    and says nothing where its field ends.
    """
    total = MAIN_WEIGHT * np.clip(main, *MAIN_COUNTED)
    for answer in others:
        affine = np.linalg.inv(answer[1].affine) @ grid.affine
        placed = affine_transform(
            _log_ratio(answer), affine[:3, :3], affine[:3, 3], output_shape=grid.shape, order=1, cval=0.0
        )
        total += RATIO_WEIGHT * np.clip(placed, *RATIO_RANGE)
    return np.asarray(total, dtype=np.float32)
