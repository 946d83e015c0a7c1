"""Tell a liver that iron has darkened on every sequence, so that ratios against it are read for what they are.

Iron shortens T2 and T2*: on T2 and diffusion weighting the liver loses up to three quarters of its signal, a lesion
(which holds no iron) does not, so that each kind's ratio to the liver grows by the same factor, and a metastasis reads
like a haemangioma. On T1 and in the hepatobiliary phase the liver is no brighter than a lesion: its silence there says
nothing. That a liver is dark shows against what lies around it (Gandon's liver-to-muscle ratio, Lancet 2004): fat is
suppressed in diffusion weighting always, so that there the surroundings are a third of an ordinary liver.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from liverpair.segment.delineate import within
from liverpair.segment.mr_evidence import Sequence

__all__ = ["read_darkness", "surroundings"]

#: The surroundings that are read: beyond the mask's errors and partial volume, up to the crop's margin (mm).
RING_MM = (4.0, 12.0)
#: What is less than this share of the liver is lung, bowel gas or air.
LEAST_SHARE = 0.15
#: The surroundings' median against an ordinary liver on diffusion weighting (0.24-0.39 in 60 examinations of five
#: simulators), and the factors over it from which a liver is darkened, and is so for certain.
USUAL, DARKENED = 0.33, (1.4, 2.0)
#: The witnesses and the least median of the surroundings against the liver that each must show, so that one sequence's
#: noise floor or unsuppressed fat does not decide: ordinary livers show up to 0.39, 0.45 and 0.57.
WITNESSES = {"mr-dwi": USUAL * DARKENED[0], "mr-hbp": 0.6, "mr-t1-native": 0.75}
#: Sequences on which lesions are told from a dark liver, and by its factor; the others show it as dark as a lesion.
#: ADC is a quotient: what darkens both of its images leaves it as it is.
BRIGHTENED, UNCHANGED = ("mr-t2", "mr-dwi"), ("mr-adc",)


def surroundings(sequence: Sequence) -> float:
    """Median signal of the tissue RING_MM outside the liver against the liver's; 0 where there is none."""
    spacing = sequence.grid.spacing
    ring = within(sequence.liver, spacing, RING_MM[1]) & ~within(sequence.liver, spacing, RING_MM[0])
    values = sequence.raw[ring] + 1.0
    tissue = values[values > LEAST_SHARE]
    return float(np.median(tissue)) if len(tissue) else 0.0


def read_darkness(sequences: dict[str, Sequence]) -> dict[str, Sequence]:
    """The sequences to be heard, each with its liver's ``darkness``; as they are for an ordinary liver.

    Diffusion weighting must be there with another sequence that agrees (WITNESSES). In a darkened liver what is neither
    T2, diffusion weighting nor ADC is left out.
    """
    shown = {role: surroundings(sequences[role]) for role in WITNESSES if role in sequences}
    if "mr-dwi" not in shown or len(shown) < 2 or any(shown[role] < WITNESSES[role] for role in shown):
        return sequences
    over = math.log(shown["mr-dwi"] / USUAL)
    low, high = (math.log(factor) for factor in DARKENED)
    darkness = math.exp(-over * min((over - low) / (high - low), 1.0))
    kept = {role: sequences[role] for role in BRIGHTENED + UNCHANGED if role in sequences}
    return {role: replace(s, darkness=darkness) if role in BRIGHTENED else s for role, s in kept.items()}
