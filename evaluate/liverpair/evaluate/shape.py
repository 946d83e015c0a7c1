"""Measure the shape of a region: mesh, principal axes, caliper diameters and RECIST axes.

Definitions follow the Image Biomarker Standardisation Initiative (IBSI reference manual, chapter 3.1) for
mesh and principal axes, and RECIST 1.1 for the long axis and the short axis perpendicular to it on the same
axial slice. All arrays are indexed [i, j, k]; lengths are in mm along the grid's own axes, which are
orthogonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.distance import pdist, squareform
from skimage.measure import find_contours, marching_cubes

from liverpair.core.geometry import Grid

__all__ = [
    "PlanarAxes",
    "axial_axis",
    "caliper",
    "mesh_area",
    "mesh_of",
    "mesh_volume",
    "planar_axes",
    "principal_axes",
]

#: Positions along the long axis at which the perpendicular chord is taken; 1 % of the long axis apart.
CHORDS = 101


@dataclass(frozen=True, slots=True)
class PlanarAxes:
    """Long axis and the longest chord perpendicular to it on the same slice, both in mm; ``slice_index`` on
    its grid.
    """

    long_mm: float
    short_mm: float
    slice_index: int


def axial_axis(grid: Grid) -> int:
    """The grid axis (0, 1 or 2) that runs closest to the patient's head-foot direction (LPS z)."""
    return int(np.argmax(np.abs(grid.direction[2])))


def mesh_of(
    values: NDArray[Any], spacing: NDArray[np.float64], level: float = 0.5, outside: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Vertices (n, 3) in mm from voxel (0, 0, 0) and triangles (m, 3) of the iso-surface of ``values`` [i, j,
    k].

    The array is padded with ``outside`` so that the surface closes at the image border. An array that nowhere
    crosses ``level`` gives an empty mesh.
    """
    padded = np.pad(np.asarray(values, dtype=np.float32), 1, constant_values=outside)
    if not padded.min() < level < padded.max():
        return np.zeros((0, 3)), np.zeros((0, 3), dtype=np.int64)
    vertices, faces, _, _ = marching_cubes(padded, level=level, spacing=tuple(spacing), allow_degenerate=False)
    return np.asarray(vertices, dtype=np.float64) - spacing, np.asarray(faces, dtype=np.int64)


def mesh_volume(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    """Enclosed volume in mm³: the sum of the signed tetrahedra that the triangles span with the origin."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6.0)


def mesh_area(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    """Surface in mm²."""
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2.0)


def _hull(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The points that can be ends of the longest distance; all of them where they span no volume."""
    if len(points) < 8:
        return points
    try:
        return points[ConvexHull(points).vertices]
    except QhullError:  # flat or collinear points have no hull
        return points


def caliper(points: NDArray[np.float64]) -> float:
    """Longest distance between two of the points, shape (n, d), in their unit; 0 for fewer than two
    points.
    """
    if len(points) < 2:
        return 0.0
    return float(pdist(_hull(points)).max())


def principal_axes(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> tuple[float, float, float]:
    """Major, minor and least axis in mm: 4·sqrt of the eigenvalues of the voxel centres' sample covariance
    (n-1).
    """
    points = np.argwhere(mask) * spacing
    if len(points) < 2:
        return (0.0, 0.0, 0.0)
    eigenvalues = np.sort(np.linalg.eigvalsh(np.cov(points, rowvar=False, ddof=1)))[::-1]
    major, minor, least = (float(4.0 * np.sqrt(max(value, 0.0))) for value in eigenvalues)
    return major, minor, least


def _perpendicular_chord(outline: NDArray[np.float64], start: NDArray[np.float64], end: NDArray[np.float64]) -> float:
    """Longest chord of the closed polygon ``outline`` (n, 2) at right angles to the line start→end."""
    along = (end - start) / np.linalg.norm(end - start)
    across = np.array([-along[1], along[0]])
    u, v = (outline - start) @ along, (outline - start) @ across
    u_next, v_next = np.roll(u, -1), np.roll(v, -1)
    best = 0.0
    for position in np.linspace(u.min(), u.max(), CHORDS)[1:-1]:
        crossing = (u - position) * (u_next - position) < 0
        if np.count_nonzero(crossing) < 2:
            continue
        weight = (position - u[crossing]) / (u_next[crossing] - u[crossing])
        heights = v[crossing] + weight * (v_next[crossing] - v[crossing])
        best = max(best, float(heights.max() - heights.min()))
    return best


def _outline_axes(outline: NDArray[np.float64]) -> tuple[float, float]:
    """Long and short axis in mm of one closed outline (n, 2) in mm."""
    hull = _hull(outline)
    distances = squareform(pdist(hull))
    first, second = np.unravel_index(int(np.argmax(distances)), distances.shape)
    long_mm = float(distances[first, second])
    if long_mm == 0.0:
        return 0.0, 0.0
    return long_mm, min(long_mm, _perpendicular_chord(outline, hull[first], hull[second]))


def planar_axes(
    values: NDArray[Any], spacing: NDArray[np.float64], axis: int, level: float = 0.5, outside: float = 0.0
) -> PlanarAxes:
    """RECIST axes of the iso-contour of ``values`` [i, j, k]: the slice across ``axis`` with the longest
    diameter.

    Contours are interpolated below the voxel (marching squares). On each slice the outline with the longest
    diameter counts. Without any contour all lengths are 0.
    """
    plane_spacing = np.delete(spacing, axis)
    best = PlanarAxes(0.0, 0.0, -1)
    slices = np.moveaxis(np.asarray(values, dtype=np.float32), axis, 0)
    for index, plane in enumerate(slices):
        if not (plane.max() > level or outside > level):
            continue
        for outline in find_contours(np.pad(plane, 1, constant_values=outside), level):
            if len(outline) < 4:
                continue
            long_mm, short_mm = _outline_axes((outline[:-1] - 1.0) * plane_spacing)
            if long_mm > best.long_mm:
                best = PlanarAxes(long_mm, short_mm, index)
    return best
