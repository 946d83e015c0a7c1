"""Weigh what the sequences say at one focus: how likely a lesion, and a cyst, a haemangioma or a metastasis.

The weights are log-likelihood ratios: linear in the response between a floor and a cap. The cap is there
because a structure (a vessel, a duct) can look like a blob in one sequence however strong its response; the
floor is smaller where the focus has few voxels in a sequence, since absence there proves little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.lesion import Nature
from liverpair.segment.mr_evidence import Sequence, SequencePeak

__all__ = ["Testimony", "confidence_of", "nature_of", "testimony"]

#: log-odds that a proposal is a lesion before the sequences are heard: clutter outnumbers lesions.
PRIOR_LOG_ODDS = -2.0
#: role → (response at which the evidence is neutral, log-odds per unit, floor, cap).
WEIGHTS = {
    "mr-hbp": (6.0, 0.8, -3.0, 4.0),
    "mr-t1-native": (6.0, 0.8, -1.0, 2.5),
    "mr-portal": (6.0, 0.8, -1.0, 2.5),
    "mr-arterial": (6.0, 0.8, -0.5, 2.0),
    "mr-t2": (4.5, 0.5, -2.0, 2.5),
    "mr-dwi": (3.0, 1.0, -2.5, 4.0),
    "mr-adc": (8.0, 0.5, 0.0, 1.0),
}
#: Voxels a ball must hold in a sequence for that sequence's silence to count in full.
VOXELS_FOR_SILENCE = 8.0
#: T2 of fluid against liver at the usual echo times is 4-8, of haemangioma 2.5-4, of metastases 1.3-2.2.
T2_FLUID_RATIO = 3.6
T2_HAEMANGIOMA_RATIO = 2.4
#: Diffusivity against liver (1.0-1.3e-3 mm²/s): metastases 0.7-1.2, haemangioma 1.5-1.9, cysts 2.2-3.
ADC_CYST_RATIO = 2.0
ADC_BENIGN_RATIO = 1.45


@dataclass(frozen=True, slots=True, eq=False)
class Testimony:
    """Per role: response z, relative contrast of the core I/background − 1 (any sign), its SD, voxels in the
    ball.
    """

    z: dict[str, float]
    core: dict[str, float]
    core_sd: dict[str, float]
    voxels: dict[str, float]


def testimony(sequences: dict[str, Sequence], lead: SequencePeak, shift_mm: float) -> Testimony:
    """What every sequence shows at the lead's place."""
    z, core, core_sd, voxels = {}, {}, {}, {}
    for role, sequence in sequences.items():
        z[role] = lead.z if role == lead.role else _response_near(sequence, lead, shift_mm)
        core[role], core_sd[role] = _core_contrast(sequence, lead)
        voxels[role] = math.pi / 6 * lead.diameter_mm**3 / sequence.grid.voxel_volume_mm3
    return Testimony(z, core, core_sd, voxels)


def _response_near(sequence: Sequence, lead: SequencePeak, shift_mm: float) -> float:
    """Largest response within the shift of the lead, at scales within a factor of 1.6 of its diameter (or 8
    mm).
    """
    best = 0.0
    for diameter, response, step in zip(sequence.diameters, sequence.responses, sequence.steps, strict=True):
        if not (lead.diameter_mm / 1.6 <= diameter <= max(lead.diameter_mm * 1.6, 8.0)):
            continue
        block = np.asarray(step)
        index = (sequence.grid.to_index(lead.lps) - (block - 1) / 2) / block
        reach = np.maximum(np.ceil(shift_mm / (sequence.grid.spacing * block) - 0.25), 1)
        low = np.maximum(np.rint(index - reach).astype(int), 0)
        high = np.minimum(np.rint(index + reach).astype(int) + 1, response.shape)
        if np.any(high <= low):
            continue
        best = max(
            best, float(response[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))].max())
        )
    return best


def _core_contrast(sequence: Sequence, lead: SequencePeak) -> tuple[float, float]:
    """Mean relative contrast (I/background − 1, unsigned by role) over the inner ball (0.35 d), and its
    noise SD.
    """
    spacing = sequence.grid.spacing
    centre = sequence.grid.to_index(lead.lps)
    radius = max(0.35 * lead.diameter_mm, 0.6 * float(spacing[np.argsort(spacing)[1]]))
    reach = np.maximum(radius / spacing, 0.5)
    low = np.maximum(np.ceil(centre - reach), 0).astype(int)
    high = np.minimum(np.floor(centre + reach).astype(int) + 1, sequence.grid.shape)
    if np.any(high <= low):
        return 0.0, math.inf
    axes = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    near = np.sum(((index - centre) / reach) ** 2, axis=1) <= 1.0
    index = index[near] if near.any() else index
    values: NDArray[np.float32] = sequence.raw[tuple(index.T)]
    return float(values.mean()), sequence.noise / math.sqrt(len(values))


def confidence_of(sequences: dict[str, Sequence], lead: SequencePeak, evidence: Testimony) -> float:
    """Probability that the focus is a lesion (of any nature), from the responses alone."""
    odds = PRIOR_LOG_ODDS
    for role, z in evidence.z.items():
        neutral, slope, floor, cap = WEIGHTS.get(role, WEIGHTS["mr-adc"])
        silence = min(evidence.voxels[role] / VOXELS_FOR_SILENCE, 1.0)
        odds += float(np.clip(slope * (z - neutral), floor * silence, cap))
        wrong = -sequences[role].sign * evidence.core[role] / max(evidence.core_sd[role], 1e-9)
        if role != "mr-adc" and wrong > 3.0:
            odds -= min(
                wrong - 2.0, 4.0
            )  # the wrong sign: a bile duct on T2 is bright in the hepatobiliary phase
    return 1.0 / (1.0 + math.exp(-odds))


def nature_of(sequences: dict[str, Sequence], lead: SequencePeak, evidence: Testimony) -> tuple[Nature, str]:
    """Cyst, haemangioma or metastasis with the reason; metastasis (and no reason) where nothing speaks
    against it.
    """
    t2 = _corrected_ratio(sequences, "mr-t2", lead, evidence)
    adc = _corrected_ratio(sequences, "mr-adc", lead, evidence)
    if adc is not None and t2 is not None:
        if adc >= ADC_CYST_RATIO and t2 >= T2_HAEMANGIOMA_RATIO:
            return Nature.CYST, f"Fluid: T2 {t2:.1f} and diffusivity {adc:.1f} times the liver's."
        if adc >= ADC_BENIGN_RATIO and t2 >= T2_HAEMANGIOMA_RATIO:
            nature = Nature.CYST if t2 >= 2 * T2_FLUID_RATIO else Nature.HAEMANGIOMA
            return (
                nature,
                f"T2 {t2:.1f} and diffusivity {adc:.1f} times the liver's: brighter than a metastasis.",
            )
        return Nature.METASTASIS, ""
    if t2 is not None and t2 >= T2_FLUID_RATIO:
        return Nature.CYST, f"T2 {t2:.1f} times the liver's, as fluid has; no ADC to confirm it."
    if adc is not None and adc >= ADC_CYST_RATIO:
        return Nature.CYST, f"Diffusivity {adc:.1f} times the liver's, as fluid has; no T2 to confirm it."
    return Nature.METASTASIS, ""


def _corrected_ratio(
    sequences: dict[str, Sequence], role: str, lead: SequencePeak, evidence: Testimony
) -> float | None:
    """Core-to-liver ratio undone of partial volume; None where the sequence is absent or cannot tell.

    The recovery of the core is estimated from the ball's and the voxel's size: a Gaussian of the voxel's
    widths.
    """
    if role not in sequences or not math.isfinite(evidence.core_sd[role]):
        return None
    sequence = sequences[role]
    recovery = float(
        np.prod([math.erf(lead.diameter_mm / 2 / h) for h in np.maximum(sequence.grid.spacing, 0.5)])
    )
    if recovery < 0.1 or evidence.core_sd[role] / recovery > 1.0:
        return None
    return 1.0 + evidence.core[role] / max(recovery, 0.1)
