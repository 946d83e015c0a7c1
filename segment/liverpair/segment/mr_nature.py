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
from scipy.ndimage import convolve

from liverpair.core.lesion import Nature
from liverpair.core.units import FWHM_PER_SIGMA
from liverpair.segment.mr_evidence import Sequence, SequencePeak

__all__ = ["Testimony", "confidence_of", "core_ratio", "has_living_rim", "metastasis_share", "nature_of", "testimony"]

#: log-odds that a proposal is a lesion before the sequences are heard: clutter outnumbers lesions.
PRIOR_LOG_ODDS = -1.3
#: With one sequence alone nothing contradicts a vessel: what the others' silence would have said, on average.
ALONE_LOG_ODDS = -0.7
#: Vessel crossings and noise that look like a ball become rarer with its size (places go with 1/d³, of which
#: a third is taken, because vessels have all sizes): log-odds per factor e of diameter above that of the
#: smallest scales.
SIZE_LOG_ODDS, SIZE_NEUTRAL_MM = 1.0, 5.6
#: role → (log-odds per unit of evidence, evidence at which it is neutral, largest evidence that counts).
#: Vessels make the hepatobiliary phase the least specific, bile ducts T2; hardly anything but cells is bright
#: on DWI. The slopes are rounded logistic fits to simulated livers; no sequence alone can make a lesion
#: certain.
WEIGHTS = {
    "mr-hbp": (0.8, 5.5, 10.0),
    "mr-t1-native": (0.6, 5.0, 8.0),
    "mr-portal": (0.6, 5.0, 8.0),
    "mr-arterial": (0.4, 5.0, 8.0),
    "mr-t2": (0.7, 2.0, 6.0),
    "mr-dwi": (1.4, 1.5, 5.0),
}
#: Voxels a ball must hold in a sequence for that sequence's silence to count in full; it counts half at
#: least.
VOXELS_FOR_SILENCE = 8.0
#: A core of clearly the wrong sign (its relative contrast beyond this) speaks against a metastasis more than silence
#: does: a vessel is dark in every sequence. Most such evidence that counts.
OPPOSED_CONTRAST, MOST_OPPOSED = -0.1, -3.0
#: Cells are bright on diffusion weighting. A response below the first with a core surely below the second (two SDs), at
#: a focus of enough voxels, is no silence but an answer: what is heard of it.
SILENT_Z, SILENT_CONTRAST, SILENT_HEARD = 2.0, 0.15, -1.0
#: ADC alone, without any other sequence, is judged like a weak hepatobiliary phase.
ALONE = (0.6, 5.5, 8.0)
#: T2-weighted ratio to liver: metastases 1.5-2.8 (T2 60-90 ms), haemangiomas 3.5-5 (130 ms), cysts 5-8 (> 300
#: ms).
T2_NEUTRAL, T2_CYST = 3.0, 5.5
#: Contrast on DWI per contrast on T2: a metastasis keeps it (≥ 0.7), free diffusion takes it away (≤ 0.2).
DWI_NEUTRAL, DWI_CYST = 0.45, 0.02
#: Diffusivity against liver (1.0-1.3e-3 mm²/s): metastases 0.7-1.2, haemangiomas 1.5-1.9, cysts 2.2-3.
ADC_NEUTRAL, ADC_CYST = 1.4, 2.0
#: Where no sequence tells them apart: log-odds that a focal lesion of a patient with a NET is a metastasis (three of
#: four), and what the hepatobiliary signal against liver adds: fluid (below 0.3) is darker than cells or slow blood
#: (0.4-0.65), but both are dark, so it adds little.
SHARE_LOG_ODDS = 1.1
HBP_NEUTRAL, HBP_SLOPE, HBP_MOST = 0.35, 12.0, 1.5
#: Log-odds of benign at which it is called so; above 0, since a missed metastasis is worse than an unread
#: cyst.
BENIGN_LOG_ODDS = 0.5
#: Living tissue around a core of fluid (necrosis): on DWI one of the shells between these shares of the diameter is
#: brighter than the core within CORE_SHARE by RIM_EXCESS of the liver's signal and RIM_SIGMAS of noise, and RIM_BRIGHT
#: over the liver itself. A cyst's and a haemangioma's shell is never brighter than its core. Rims are thin, and beyond
#: half the diameter is liver: a wide shell would be mostly that; a scale may be 1.4 times smaller than its ball.
RIM_SHELLS, CORE_SHARE = ((0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.35, 0.6)), 0.2
RIM_EXCESS, RIM_SIGMAS, RIM_BRIGHT = 0.25, 4.0, 0.3
#: Of its core's contrast a shell must surely keep the first share on diffusion weighting, and no more than the second
#: on T2, to be living tissue around fluid that diffusion weighting shows as bright (T2 shines through).
RIM_KEPT, RIM_LOST = 0.75, 0.55
#: Voxels that core and shell must have for a rim to be told.
RIM_VOXELS = (3, 12)


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
    """What every sequence shows at the lead's place, each within the shift where it most looks like a
    metastasis.

    ADC belongs to DWI's geometry: it is read where DWI shows the focus, and by itself only where DWI does
    not.
    """
    z: dict[str, float] = {}
    core: dict[str, float] = {}
    core_sd: dict[str, float] = {}
    voxels: dict[str, float] = {}
    place: dict[str, NDArray[np.float64]] = {}
    for role in sorted(sequences, key=lambda r: r == "mr-adc"):
        sequence = sequences[role]
        z[role] = lead.z if role == lead.role else _response_near(sequence, lead, shift_mm)
        at, shift, sign = lead.lps, 0.0 if role == lead.role else shift_mm, sequence.sign
        if role == "mr-adc" and role != lead.role:
            seen = "mr-dwi" in place and core["mr-dwi"] > 3.0 * core_sd["mr-dwi"]
            at, shift, sign = (place["mr-dwi"], 0.0, 1) if seen else (lead.lps, shift_mm, 1)
        core[role], core_sd[role], place[role] = _core_contrast(sequence, at, lead.diameter_mm, shift, sign)
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
        best = max(best, float(response[tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))].max()))
    return best


def _core_contrast(
    sequence: Sequence, lps: NDArray[np.float64], diameter_mm: float, shift_mm: float, sign: int
) -> tuple[float, float, NDArray[np.float64]]:
    """Mean relative contrast I/background − 1 over the inner ball (0.35 d), its noise SD, and where it was
    read.

    The ball is put where, within the shift, the mean times ``sign`` is largest: sequences of one examination
    differ by a few mm.
    """
    spacing = sequence.grid.spacing
    centre = sequence.grid.to_index(lps)
    radius = np.maximum(max(0.35 * diameter_mm, 0.6 * float(np.sort(spacing)[1])) / spacing, 0.5)
    reach = np.ceil(radius + shift_mm / spacing).astype(int)
    low = np.maximum(np.rint(centre).astype(int) - reach, 0)
    high = np.minimum(np.rint(centre).astype(int) + reach + 1, sequence.grid.shape)
    if np.any(high <= low):
        return 0.0, math.inf, lps
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    axes = [np.arange(-int(r), int(r) + 1) / q for r, q in zip(np.floor(radius), radius, strict=True)]
    kernel = (np.sum(np.square(np.stack(np.meshgrid(*axes, indexing="ij"))), axis=0) <= 1.0).astype(np.float32)
    mean = convolve(sequence.raw[window], kernel / kernel.sum(), mode="nearest")
    ranges = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
    distance = np.linalg.norm((index - centre) * spacing, axis=-1)
    near = distance <= max(shift_mm, float(distance.min()) + 1e-6)
    best = np.unravel_index(int(np.argmax(np.where(near, sign * mean, -np.inf))), mean.shape)
    place = sequence.grid.to_world(low + np.asarray(best))
    return float(mean[best]), sequence.noise / math.sqrt(float(kernel.sum())), place


def confidence_of(
    sequences: dict[str, Sequence], lead: SequencePeak, evidence: Testimony, nature: Nature = Nature.METASTASIS
) -> float:
    """Probability that the focus is what ``nature`` says, rather than a vessel, a duct or noise.

    The evidence of a sequence is its response, but no more than its contrast's signal-to-noise ratio with the
    right sign: a bile duct is bright on T2 and in the hepatobiliary phase alike. Fluid is silent on DWI, so a
    benign focus is judged without it.
    """
    odds = PRIOR_LOG_ODDS + SIZE_LOG_ODDS * max(math.log(lead.diameter_mm / SIZE_NEUTRAL_MM), 0.0)
    if sum(role in WEIGHTS for role in evidence.z) < 2:
        odds += ALONE_LOG_ODDS
    for role in sorted(evidence.z):
        if role == "mr-adc" and len(evidence.z) > 1:
            continue
        if role == "mr-dwi" and nature is not Nature.METASTASIS:
            continue
        if role == "mr-t1-native" and "mr-hbp" in evidence.z:
            continue  # a vessel is dark in both alike: the second says nothing new
        slope, neutral, cap = WEIGHTS.get(role, ALONE)
        signed = sequences[role].sign * evidence.core[role]
        least = MOST_OPPOSED if signed < OPPOSED_CONTRAST else 0.0
        ratio = signed / max(evidence.core_sd[role], 1e-9)
        response = float(np.clip(min(evidence.z[role], ratio), least, cap))
        if role == "mr-dwi" and _surely_silent(evidence):
            response = min(response, SILENT_HEARD)
        heard = slope * (response - neutral)
        silence = float(np.clip(evidence.voxels[role] / VOXELS_FOR_SILENCE, 0.5, 1.0))
        odds += heard if heard > 0 else heard * silence
    return 1.0 / (1.0 + math.exp(-odds))


def _surely_silent(evidence: Testimony) -> bool:
    """Whether diffusion weighting shows for certain that the focus is no brighter there than liver."""
    bound = evidence.core["mr-dwi"] + 2.0 * evidence.core_sd["mr-dwi"]
    enough = evidence.voxels["mr-dwi"] >= VOXELS_FOR_SILENCE
    return enough and evidence.z["mr-dwi"] < SILENT_Z and bound < SILENT_CONTRAST


def nature_of(sequences: dict[str, Sequence], lead: SequencePeak, evidence: Testimony) -> tuple[Nature, str]:
    """Cyst, haemangioma or metastasis with the reason; metastasis (and no reason) where nothing speaks
    against it, or where living tissue surrounds a core of fluid.

    Log-odds of benign (fluid or blood pool) add up from the T2 ratio, from how much of the T2 contrast DWI
    keeps, and from the diffusivity. Without T2 and ADC nothing can be told.
    """
    t2 = _ratio(sequences, "mr-t2", lead, evidence)
    dwi = _ratio(sequences, "mr-dwi", lead, evidence)
    adc = _ratio(sequences, "mr-adc", lead, evidence)
    odds, cystic, words = 0.0, 0.0, []
    if t2 is not None and t2 > 1.0:
        odds += float(np.clip(6.0 * math.log(t2 / T2_NEUTRAL), -4.0, 4.0))
        cystic += math.log(t2 / T2_CYST) / 0.2
        words.append(f"T2 signal {t2:.1f} times the liver's")
    if t2 is not None and dwi is not None and t2 > 1.3:
        kept = (dwi - 1.0) / (t2 - 1.0)
        odds += float(np.clip(4.0 * (DWI_NEUTRAL - kept) / DWI_NEUTRAL, -4.0, 4.0))
        cystic += (DWI_CYST - kept) / 0.1
        words.append(f"of that contrast diffusion weighting keeps {max(kept, 0.0):.0%}")
    if adc is not None:
        odds += float(np.clip(6.0 * (adc - ADC_NEUTRAL), -2.0, 4.0))
        cystic += (adc - ADC_CYST) / 0.3
        words.append(f"diffusivity {adc:.1f} times the liver's")
    if odds < BENIGN_LOG_ODDS or has_living_rim(sequences.get("mr-dwi"), lead, sequences.get("mr-t2")):
        return Nature.METASTASIS, ""
    nature = Nature.CYST if cystic > 0 else Nature.HAEMANGIOMA
    what = "free fluid" if nature is Nature.CYST else "slow blood"
    return nature, f"Reads as {what}: " + "; ".join(words) + "."


def has_living_rim(dwi: Sequence | None, lead: SequencePeak, t2: Sequence | None = None) -> bool:
    """Whether diffusion weighting shows a bright shell around a darker core: a necrotic metastasis.

    Or, where ``t2`` is given, a shell as bright as its core where T2 has lost the core's brightness already.
    """
    if dwi is None:
        return False
    core, shells = _shells(dwi, lead)
    if len(core) < RIM_VOXELS[0]:
        return False
    if any(_is_rim(shell, core, dwi.noise) for shell in shells if len(shell) >= RIM_VOXELS[1]):
        return True
    return t2 is not None and _outlasts(dwi, core, shells, *_shells(t2, lead))


def _shells(sequence: Sequence, lead: SequencePeak) -> tuple[NDArray[np.float32], list[NDArray[np.float32]]]:
    """The relative contrasts in the core and in each of RIM_SHELLS around the lead; none beyond the sequence's crop."""
    centre = sequence.grid.to_index(lead.lps)
    reach = np.ceil(RIM_SHELLS[-1][1] * lead.diameter_mm / sequence.grid.spacing).astype(int) + 1
    low = np.maximum(np.rint(centre).astype(int) - reach, 0)
    high = np.maximum(np.minimum(np.rint(centre).astype(int) + reach + 1, sequence.grid.shape), low)
    ranges = [np.arange(a, b) for a, b in zip(low, high, strict=True)]
    index = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1)
    distance = np.linalg.norm((index - centre) * sequence.grid.spacing, axis=-1) / lead.diameter_mm
    window = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    values, inside = sequence.raw[window], sequence.domain[window]
    shells = [values[inside & (distance >= inner) & (distance <= outer)] for inner, outer in RIM_SHELLS]
    return values[inside & (distance <= CORE_SHARE)], shells


def _outlasts(
    dwi: Sequence,
    core: NDArray[np.float32],
    shells: list[NDArray[np.float32]],
    fluid: NDArray[np.float32],
    fluid_shells: list[NDArray[np.float32]],
) -> bool:
    """Whether diffusion weighting keeps its core's contrast in a shell where T2 has lost much of its own.

    The border's blur takes both away together, diffusion weighting first (its voxels are coarser): a shell that keeps
    the one without the other is of another tissue than its core.
    """
    middle = float(np.mean(core))
    if len(fluid) < RIM_VOXELS[0] or middle <= RIM_BRIGHT or float(np.mean(fluid)) <= RIM_BRIGHT:
        return False
    for shell, around in zip(shells, fluid_shells, strict=True):
        if len(shell) < RIM_VOXELS[1] or len(around) < RIM_VOXELS[1]:
            continue
        error = RIM_SIGMAS * dwi.noise * math.hypot(len(core) ** -0.5, 1.25 * len(shell) ** -0.5)
        kept = (float(np.median(shell)) - error) / middle
        if kept >= RIM_KEPT and float(np.median(around)) <= RIM_LOST * float(np.mean(fluid)):
            return True
    return False


def _is_rim(shell: NDArray[np.float32], core: NDArray[np.float32], noise: float) -> bool:
    rim, middle = float(np.median(shell)), float(np.mean(core))
    least = max(RIM_EXCESS, RIM_SIGMAS * noise * math.hypot(len(core) ** -0.5, 1.25 * len(shell) ** -0.5))
    return rim > RIM_BRIGHT and rim - middle > least


def metastasis_share(sequences: dict[str, Sequence], lead: SequencePeak, evidence: Testimony) -> tuple[float, str]:
    """The share of lesions like this one that are metastases where nothing tells them from cysts and haemangiomas.

    1 and no reason where T2, DWI or ADC could be read there: nature_of then had its say. Else the share among a NET
    patient's lesions, moved by the hepatobiliary signal, and the sentence that says so.
    """
    if any(_ratio(sequences, role, lead, evidence) is not None for role in ("mr-t2", "mr-dwi", "mr-adc")):
        return 1.0, ""
    odds, words = SHARE_LOG_ODDS, ""
    dark = _ratio(sequences, "mr-hbp", lead, evidence)
    if dark is not None:
        odds += float(np.clip(HBP_SLOPE * (dark - HBP_NEUTRAL), -HBP_MOST, HBP_MOST))
        words = f" The hepatobiliary signal is {max(dark, 0.0):.2f} times the liver's."
    share = 1.0 / (1.0 + math.exp(-odds))
    return share, f"Its nature is uncertain: no T2, diffusion or ADC image could be read there.{words}"


def core_ratio(
    sequences: dict[str, Sequence], role: str, lead: SequencePeak, evidence: Testimony
) -> tuple[float, float] | None:
    """Core-to-liver ratio undone of partial volume, and its SD; None where the sequence is absent or too coarse.

    The recovery of the core is that of a ball of the lead's diameter under a Gaussian of the voxel's widths. A liver
    darkened by iron is taken for as bright as it would be without.
    """
    if role not in sequences or not math.isfinite(evidence.core_sd[role]):
        return None
    spacing = np.maximum(sequences[role].grid.spacing, 0.5)
    recovery = float(
        np.prod([math.erf(lead.diameter_mm / 2 / (1.2 * h / FWHM_PER_SIGMA) / math.sqrt(2)) for h in spacing])
    )
    if recovery < 0.2 or evidence.core_sd[role] / recovery > 0.5:
        return None
    dark = sequences[role].darkness
    return dark * (1.0 + evidence.core[role] / recovery), dark * evidence.core_sd[role] / recovery


def _ratio(sequences: dict[str, Sequence], role: str, lead: SequencePeak, evidence: Testimony) -> float | None:
    found = core_ratio(sequences, role, lead, evidence)
    return None if found is None else found[0]
