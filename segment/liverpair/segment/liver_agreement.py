"""Compare the livers of two registered examinations part by part, and say which mask is wrong where they differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.segment.liver_cava import is_cava
from liverpair.segment.liver_fluid import FLUID_HU
from liverpair.segment.liver_mode import robust_mode
from liverpair.segment.liver_morphology import BoolArray, dilate, erode, opened, surround
from liverpair.segment.liver_settings import AgreementSettings

__all__ = ["Agreement", "AgreementSettings", "Cause", "LiverPart", "compare_livers", "missing_parts"]

Cause = Literal["fluid", "lost_on_ct", "lost_on_mr", "leak_on_ct", "leak_on_mr", "unexplained"]

#: The liver that a part is compared with lies this near to it (mm): coils shade, fat is stored unevenly.
NEAR_MM = 40.0
#: A part has the liver's intensity within this many of its (robust) sd; at least within that many HU, or that share
#: of the MRI's signal: livers are not uniform.
SAME_SD, SAME_HU, SAME_MR_SHARE = 2.5, 6.0, 0.12
#: Nearer to its surface than this (mm) a part's smoothed intensity is mixed with what lies beside it.
MIXED_MM = 4.0
#: Of a part that the MRI shows as liver, more than this share with the liver's HU says that it is liver, which lies a
#: little elsewhere on CT (thin lateral sections move with the stomach, and what they leave is mixed with it): of a
#: kidney that differs by 3 sd there is less than a fifth.
LEAST_SAME = 1 / 3
#: What stands apart by less than ``AgreementSettings.apart_mm`` belongs to the part, with this margin (mm).
EDGE_MM = 5.0
#: Between liver and aerated lung (HU below the first) lies the diaphragm (mm, with the voxels mixed with lung) and
#: nothing else: what looks like a lesion and is surrounded by liver and lung by more than this share is the liver's (a
#: metastasis under the dome 0.94).
LUNG_HU, DIAPHRAGM_MM, LEAST_UNDER_LUNG = -400.0, 6.0, 0.85
#: Below this many voxels a median says little.
LEAST_VOXELS = 100
#: What fills the place of a resected part is no liver by this many sd or HU on CT, by these ratios on MRI (coils shade
#: a liver by less).
OTHER_SD, OTHER_HU, OTHER_RATIO = 3.5, 12.0, (0.55, 1.8)
#: Liver surrounds a metastasis, a cyst or a spared area by more than this share, a resection's bed by less.
SURROUNDED = 0.5
#: What CT cannot tell from liver and MRI shows to be none is a lesion where liver surrounds it by more than this share,
#: and a neighbour (kidney, stomach, gallbladder) where by less.
LESION_SURROUNDED = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class LiverPart:
    """A part that only one mask holds: in which (``only_in``), how large, why, and where on the work grid."""

    only_in: Literal["ct", "mr"]
    volume_ml: float
    cause: Cause
    region: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Agreement:
    """Parts in which the two livers differ; ``unexplained_share``: the largest part that is no mask's slip, of the
    larger liver."""

    parts: tuple[LiverPart, ...]
    unexplained_share: float

    def region(self, *causes: Cause) -> BoolArray | None:
        """All parts with these causes on the work grid, or None."""
        found = [part.region for part in self.parts if part.cause in causes]
        return np.logical_or.reduce(found) if found else None


@dataclass(frozen=True, slots=True)
class _Level:
    """The liver's intensity near a part, the part's, and the part's inner voxels (any order)."""

    liver: float
    sd: float
    part: float
    inner: NDArray[np.float32]


def compare_livers(
    ct: NDArray[np.float32],
    mr: NDArray[np.float32],
    ct_liver: BoolArray,
    mr_liver: BoolArray,
    seen: BoolArray,
    grid: Grid,
    settings: AgreementSettings = AgreementSettings(),
) -> Agreement:
    """Differences of two liver masks on one work grid (all arrays of ``grid.shape``, CT in HU, MRI in any unit).

    ``mr`` and ``mr_liver`` were brought onto the CT by a registration; ``seen`` is where both images look. A part that
    only the MRI's mask holds is fluid on the CT (a gallbladder as bright as the liver), or liver that the CT's mask
    lost (also a metastasis between liver and lung); one that only the CT's holds is liver that the MRI's mask lost or
    something that CT cannot tell from liver (a cava that the liver wraps around, too). Raises UsageError where the
    shapes differ.
    """
    if any(array.shape != grid.shape for array in (ct, mr, ct_liver, mr_liver, seen)):
        raise UsageError("images and masks must lie on the work grid")
    both = ct_liver & mr_liver
    size = max(int((ct_liver & seen).sum()), int((mr_liver & seen).sum()))
    if int(both.sum()) < LEAST_VOXELS:
        return Agreement((), 1.0 if size else 0.0)
    smooth_ct, smooth_mr = (ndimage.gaussian_filter(image, 1.0) for image in (ct, mr))
    parts: list[LiverPart] = []
    for only_in, own, other in (("mr", mr_liver, ct_liver), ("ct", ct_liver, mr_liver)):
        for region in _regions(own & seen, other, grid, settings):
            share = float(region.sum()) / size
            volume = float(region.sum()) * grid.voxel_volume_mm3 / 1000
            on_ct, on_mr = (_level(image, region, both, grid) for image in (smooth_ct, smooth_mr))
            cause: Cause = "unexplained"
            if share <= settings.largest_share:
                around = surround(region, both)
                under_lung = _under_lung(ct, region, both, grid)
                cause = (
                    _only_mr(on_ct, on_mr, around < SURROUNDED, under_lung, volume, settings)
                    if only_in == "mr"
                    else _only_ct(on_ct, on_mr, around, is_cava(smooth_mr, both, region, grid.spacing))
                )
            parts.append(LiverPart("mr" if only_in == "mr" else "ct", volume, cause, region))
    return _agreement(parts, size)


def missing_parts(
    image: NDArray[np.float32],
    liver: BoolArray,
    seen: BoolArray,
    is_ct: bool,
    grid: Grid,
    settings: AgreementSettings = AgreementSettings(),
) -> Agreement:
    """Where one examination's ``liver`` (on the work grid) is none in the other's ``image``, whose liver is not known.

    Only what no liver looks like counts, and only where liver does not surround it: the bed of a resection.
    """
    spacing = grid.spacing
    inner = opened(liver & seen & ~dilate(~liver, settings.apart_mm, spacing), settings.thick_mm, spacing)
    size = int((liver & seen).sum())
    if int(inner.sum()) < LEAST_VOXELS:
        return Agreement((), 0.0)
    smooth = ndimage.gaussian_filter(image, 1.0)
    mode, sd = robust_mode(smooth[inner])
    if is_ct:
        other = np.abs(smooth - mode) > max(OTHER_SD * sd, OTHER_HU)
    else:
        other = (smooth < OTHER_RATIO[0] * mode) | (smooth > OTHER_RATIO[1] * mode)
    parts: list[LiverPart] = []
    labels, count = ndimage.label(opened(other & inner, settings.thick_mm, spacing))
    for n in range(1, count + 1):
        region = labels == n
        whole = dilate(region, settings.apart_mm + EDGE_MM, spacing) & liver
        volume = float(whole.sum()) * grid.voxel_volume_mm3 / 1000
        if volume >= settings.least_ml and surround(whole, liver & ~whole) < SURROUNDED:
            parts.append(LiverPart("mr" if is_ct else "ct", volume, "unexplained", whole))
    return _agreement(parts, size)


def _agreement(parts: list[LiverPart], size: int) -> Agreement:
    unexplained = [float(part.region.sum()) / size for part in parts if part.cause == "unexplained"]
    return Agreement(tuple(parts), max(unexplained, default=0.0))


def _regions(own: BoolArray, other: BoolArray, grid: Grid, settings: AgreementSettings) -> list[BoolArray]:
    """The thick parts of one mask that lie clear of the other, each with its edges, in the order of the array."""
    spacing = grid.spacing
    clear = opened(own & ~dilate(other, settings.apart_mm, spacing), settings.thick_mm, spacing)
    labels, count = ndimage.label(clear)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) * grid.voxel_volume_mm3 / 1000
    beside = own & ~other
    reach = settings.apart_mm + EDGE_MM
    return [dilate(labels == n, reach, spacing) & beside for n in range(1, count + 1) if sizes[n] >= settings.least_ml]


def _level(image: NDArray[np.float32], region: BoolArray, both: BoolArray, grid: Grid) -> _Level:
    near = both & dilate(region, NEAR_MM, grid.spacing)
    if int(near.sum()) < LEAST_VOXELS:
        near = both
    liver = float(np.median(image[near]))
    sd = 1.4826 * float(np.median(np.abs(image[near] - liver)))
    core = erode(region, MIXED_MM, grid.spacing)
    inner = image[core if core.any() else region]
    return _Level(liver, sd, float(np.median(inner)), inner)


def _is_liver_ct(on_ct: _Level) -> bool:
    return abs(on_ct.part - on_ct.liver) <= max(SAME_SD * on_ct.sd, SAME_HU)


def _is_partly_liver_ct(on_ct: _Level) -> bool:
    same = np.abs(on_ct.inner - on_ct.liver) <= max(SAME_SD * on_ct.sd, SAME_HU)
    return float(same.mean()) > LEAST_SAME


def _is_liver_mr(on_mr: _Level) -> bool:
    return abs(on_mr.part - on_mr.liver) <= max(SAME_SD * on_mr.sd, SAME_MR_SHARE * abs(on_mr.liver))


def _is_fluid(on_ct: _Level) -> bool:
    return FLUID_HU[0] <= on_ct.part <= FLUID_HU[1] and on_ct.part < on_ct.liver - SAME_SD * on_ct.sd


def _under_lung(ct: NDArray[np.float32], region: BoolArray, both: BoolArray, grid: Grid) -> bool:
    """Whether nothing but liver and lung surrounds a part."""
    return surround(region, both | dilate(ct < LUNG_HU, DIAPHRAGM_MM, grid.spacing)) > LEAST_UNDER_LUNG


def _only_mr(
    on_ct: _Level, on_mr: _Level, beside: bool, under_lung: bool, volume_ml: float, settings: AgreementSettings
) -> Cause:
    if _is_fluid(on_ct) and volume_ml <= settings.largest_ml:
        return "fluid"
    # as dark as a metastasis it may be one, and inside the liver it is
    lesion_like = not OTHER_RATIO[0] * on_mr.liver < on_mr.part < OTHER_RATIO[1] * on_mr.liver
    if _is_liver_ct(on_ct) or (lesion_like and under_lung and on_ct.part > FLUID_HU[1]):
        return "lost_on_ct"
    if _is_liver_mr(on_mr) and _is_partly_liver_ct(on_ct):
        return "lost_on_ct"
    return "unexplained" if lesion_like or not beside else "leak_on_mr"


def _only_ct(on_ct: _Level, on_mr: _Level, around: float, cava: bool) -> Cause:
    if _is_liver_mr(on_mr):
        return "unexplained" if _is_fluid(on_ct) else "lost_on_mr"
    if cava:
        return "leak_on_ct"
    if _is_liver_ct(on_ct):
        return "lost_on_mr" if around > LESION_SURROUNDED else "leak_on_ct"
    # A lesion at the capsule is a bay of the MRI's liver, and the CT's mask, which hardly sees it, goes over it.
    return "unexplained" if _is_fluid(on_ct) or around < SURROUNDED else "lost_on_mr"
