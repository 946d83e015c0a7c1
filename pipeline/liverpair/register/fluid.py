"""Find fluid in and beside the liver on CT (gallbladder, stomach, ascites, large cysts): no measure of its motion.

Bile is dark on CT, and on hepatobiliary MR dark or brighter than the liver, depending on how much contrast agent has
been excreted. A window with liver, bile and fat then has no one relation between both images, and a squared
correlation is highest somewhere else than where the tissue lies. The gallbladder and the stomach also fill and empty
between two examinations. Such fluid is therefore left out of every window that is compared.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.register.settings import FluidSettings

__all__ = ["FluidSettings", "fluid_region"]

#: Depth below which a liver's own value is read, mm: no partial volume with fat or lung.
CORE_DEPTH_MM = 8.0
#: Fluid further from the liver than this is read by no window.
REACH_MM = 10.0


def fluid_region(
    hu: NDArray[np.float32], depth: NDArray[np.float32], spacing: float, settings: FluidSettings
) -> NDArray[np.bool_]:
    """Voxels (n0, n1, n2) of fluid within reach of the liver.

    ``hu``: smoothed CT values, NaN where nothing was measured; ``depth``: mm inside (+) or outside (−) the liver;
    ``spacing``: mm of the isotropic voxels. Empty where no liver is deep enough to compare with.
    """
    core = hu[(depth > CORE_DEPTH_MM) & np.isfinite(hu)]
    if core.size == 0:
        return np.zeros(hu.shape, dtype=np.bool_)
    top = min(settings.highest_hu, float(np.median(core)) - settings.below_liver_hu)
    found = (hu > settings.lowest_hu) & (hu < top) & (depth > -REACH_MM)
    found = ndimage.binary_opening(found, iterations=_steps(settings.opening_mm, spacing))
    labels, count = ndimage.label(found)
    if count == 0:
        return np.asarray(found)
    millilitres = np.bincount(labels.ravel())[1:] * spacing**3 / 1000
    large = np.concatenate([[False], millilitres >= settings.smallest_ml])[labels]
    return np.asarray(ndimage.binary_dilation(large, iterations=_steps(settings.rim_mm, spacing)))


def _steps(length_mm: float, spacing: float) -> int:
    return max(1, int(round(length_mm / spacing)))
