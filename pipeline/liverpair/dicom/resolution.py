"""The PET's spatial resolution as far as its header tells: the post-filter named in the reconstruction kernel."""

from __future__ import annotations

import re
from collections.abc import Iterable

__all__ = ["filter_fwhm_mm"]

#: "XYZ Gauss2.00", "XYZGAUSSIAN5.00", "Gaussian 4 mm", "Standard 6.4mm": a width in mm behind a filter's name.
KERNEL = re.compile(r"(?:gauss(?:ian)?|xyz\s*g|filter|standard)\D{0,12}?(\d{1,2}(?:[.,]\d+)?)\s*(?:mm)?", re.IGNORECASE)
#: Post-filters that are in clinical use; another number behind the name is not a width.
PLAUSIBLE_MM = (1.0, 12.0)


def filter_fwhm_mm(kernels: Iterable[str]) -> float | None:
    """FWHM in mm of the Gaussian post-filter named by Convolution Kernel (0018,1210); None where none is named."""
    for text in kernels:
        for match in KERNEL.finditer(text):
            width = float(match.group(1).replace(",", "."))
            if PLAUSIBLE_MM[0] <= width <= PLAUSIBLE_MM[1]:
                return width
    return None
