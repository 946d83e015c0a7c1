"""Prepare all sequences of an MR examination for the detector: where each is searched, and how dark its liver is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.mr_beyond import lesions_beyond
from liverpair.segment.mr_dark import read_darkness
from liverpair.segment.mr_evidence import Sequence, mask_on_grid, prepare_sequence
from liverpair.segment.mr_settings import MrDetectionSettings

__all__ = ["MAIN_ROLES", "Prepared", "prepare_examination"]

#: The first of these that is present carries the label map: best resolution and contrast first.
MAIN_ROLES = ("mr-hbp", "mr-dwi", "mr-t2", "mr-portal", "mr-t1-native", "mr-arterial", "mr-adc")
#: A role that adds nothing where another is there (mr_small): in native T1 vessels are as dark as lesions, as they are
#: in the hepatobiliary phase. Leaving it out saves a quarter of the time.
NEEDLESS = {"mr-t1-native": "mr-hbp"}
#: A region of which more than this share lies in what was found beyond the liver's mask is flagged.
MOSTLY_BEYOND = 0.3


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """The sequences that are heard, by role, the main one first; ``beyond``: what the liver's mask left out."""

    sequences: dict[str, Sequence]
    beyond: Mask | None

    def left_out(self, grid: Grid) -> NDArray[np.bool_]:
        """What the liver's mask left out, on ``grid``."""
        return np.zeros(grid.shape, dtype=bool) if self.beyond is None else mask_on_grid(self.beyond, grid)


def prepare_examination(images: Mapping[str, Volume], liver: Mask, settings: MrDetectionSettings) -> Prepared:
    """Crop, normalise and filter the sequences of MAIN_ROLES that cover the liver; needless ones are left out."""
    roles = [role for role in MAIN_ROLES if role in images and NEEDLESS.get(role) not in images]
    beyond = lesions_beyond(images, liver, images[roles[0]].grid) if roles else None
    found = {}
    for role in roles:
        sequence = prepare_sequence(
            role,
            images[role],
            liver,
            settings.diameters_mm,
            settings.background_sigma_mm,
            settings.closing_mm,
            settings.margin_mm,
            beyond,
        )
        if sequence is not None:
            found[role] = sequence
    return Prepared(read_darkness(found), beyond)
