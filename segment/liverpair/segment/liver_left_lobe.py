"""Bring back a part of the liver behind a deep fissure, which the search parts off as a neighbour.

The left lateral section may hang on the rest by a bridge thinner than what severs diaphragm and vessels. Where an
image gives the liver an intensity of its own, what else has it, and faces the liver across a narrow slit, is liver;
where other tissue looks alike, so is what comes still nearer to it and lies where a left lobe does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_features import Features
from liverpair.segment.liver_mode import OrganCore
from liverpair.segment.liver_morphology import BoolArray, dilate, erode
from liverpair.segment.liver_shape import elsewhere, is_distinct, local_mode

__all__ = ["WIDE_SLIT_MM", "is_lobe", "with_lobes_behind_fissures"]

#: A lobe's least half thickness; vessels, bile ducts and the edges of bowel are thinner.
THIN_MM = 3.0
#: Less is a tip, and the border's own search finds it.
LEAST_ML = 8.0
#: A fissure is no wider (fat, falciform and round ligament), and the lobe faces the liver across it on this much.
SLIT_MM, LEAST_FACING_CM2 = 6.0, 2.0
#: On T2 and CT what joins a lobe to the liver, half of it fat in thick slices, is not in the liver's narrow band.
WIDE_SLIT_MM = 15.0
#: The lobe's median differs by at most this many of the least credible sd of a liver from its neighbour's, read so far
#: behind the slit and this deep in the liver (mm): its surface there is mixed with the slit's fat (by 12–16 % of the
#: liver's level in two livers whose lobes differed by 1–3 % from the liver behind it).
ALIKE_SD, BEHIND_MM, UNMIXED_MM = 1.5, 9.0, 3.0
#: Where other tissue looks like the liver, a lobe is known by its place and by being nearer to it (3 HU on CT; lobes of
#: six livers differed by 0.3–2.4 HU, stomachs, hearts and bowel that passed for one by their place by 5 and more).
SAME_SD = 0.75
#: A lobe lies in front; the kidneys, which excrete the contrast, and the spleen behind the coronal plane through
#: this share of the body's half depth.
MOST_DORSAL = 0.15
#: Liver lies above a gallbladder, duodenum or colon that touches it (within this, over this share of them), not above
#: a lobe beside it.
ROOF_MM, MOST_ROOFED = 40.0, 0.4
#: The intensity band of the search's widest step.
BAND_SD = 3.0


def with_lobes_behind_fissures(
    features: Features,
    mask: BoolArray,
    core: OrganCore,
    pet_tells: bool = False,
    slit_mm: float = SLIT_MM,
    by_place: bool = False,
) -> BoolArray:
    """``mask`` (work grid) with the parts of the liver's own intensity that face it across a slit up to ``slit_mm``.

    Where other tissue looks like the liver (``is_distinct``; one kidney may), nothing is added unless a PET has left
    (``pet_tells``) nothing but what takes up its tracer as the liver does, or with ``by_place`` what differs by no more
    than ``SAME_SD`` from the liver behind the slit.
    """
    if not mask.any():
        return mask
    known = pet_tells or is_distinct(features, core, but_a_kidney=True)
    if not (known or by_place):
        return mask
    spacing = features.grid.spacing
    local = local_mode(features, mask, core, features.drift(core.mode))
    sd = features.least_sd(core.mode)
    band = (np.abs(features.smooth - local) <= BAND_SD * max(core.sd, sd)) & features.body.tissue & features.allowed
    parts, count = ndimage.label(erode(band & ~mask, THIN_MM, spacing))
    bad = elsewhere(features, core, mask)
    out = mask.copy()
    for n in range(1, count + 1):
        seed = parts == n
        if int(seed.sum()) * features.grid.voxel_volume_mm3 < 0.2 * LEAST_ML * 1000:
            continue
        part = dilate(seed, THIN_MM, spacing) & band & ~mask
        if is_lobe(features, part, mask, bad, sd, slit_mm, ALIKE_SD if known else SAME_SD):
            out |= part
    return out


def is_lobe(
    features: Features,
    part: BoolArray,
    mask: BoolArray,
    bad: BoolArray,
    sd: float,
    slit_mm: float = SLIT_MM,
    alike_sd: float = ALIKE_SD,
) -> bool:
    """Whether ``part`` beside the liver ``mask`` has a left lobe's place, size and intensity.

    ``bad`` is where no liver reaches, ``sd`` the least credible one of a liver.
    """
    spacing = features.grid.spacing
    if int(part.sum()) * features.grid.voxel_volume_mm3 < LEAST_ML * 1000 or (part & bad).sum() > 0.1 * part.sum():
        return False
    if float(np.broadcast_to(features.body.dorsal(), part.shape)[part].mean()) > MOST_DORSAL:
        return False
    if _roofed(part, mask, spacing) > MOST_ROOFED:
        return False
    beside = dilate(part, slit_mm, spacing) & mask
    facing = _surface_cm2(beside & ~erode(mask, float(spacing.max()), spacing), spacing)
    if facing < LEAST_FACING_CM2:
        return False
    behind = dilate(part, slit_mm + BEHIND_MM, spacing) & erode(mask, UNMIXED_MM, spacing)
    neighbour = behind if behind.any() else beside
    return abs(float(np.median(features.smooth[part]) - np.median(features.smooth[neighbour]))) <= alike_sd * sd


def _roofed(part: BoolArray, mask: BoolArray, spacing: NDArray[np.float64]) -> float:
    """Share of the part's columns above whose top the mask begins within ``ROOF_MM``; slices run from caudal."""
    columns = part.any(axis=2)
    top = part.shape[2] - 1 - part[:, :, ::-1].argmax(axis=2)
    reach = int(np.ceil(ROOF_MM / spacing[2]))
    k = np.arange(part.shape[2])
    above = (k > top[:, :, None]) & (k <= top[:, :, None] + reach)
    return float((mask & above).any(axis=2)[columns].mean())


def _surface_cm2(layer: BoolArray, spacing: NDArray[np.float64]) -> float:
    """Area of a layer that is one voxel thick."""
    return float(layer.sum()) * float(np.prod(spacing)) / float(spacing.max()) / 100
