"""Tell metastasis, haemangioma and cyst of a few millimetres apart by the balance of their answers over the sequences.

At that size a core's signal is partial volume, so that it is only a lower bound of the lesion's own. But every sequence
blurs the same ball: what each answers to it is the ball's contrast there times one unknown share, and the sequences'
answers against one another tell cells, slow blood and fluid apart. The share is integrated over, as is what each kind's
contrast varies by and what the sequences' point spreads and shifts are not known by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from liverpair.core.lesion import Nature
from liverpair.segment.mr_matched import SMALL_MM

__all__ = ["TELLING", "Answer", "kind_shares", "kind_words"]

#: One of these must answer: in the hepatobiliary phase alone all kinds are dark.
TELLING = ("mr-t2", "mr-dwi")
#: Relative contrast of each kind against liver: (median, SD of its logarithm). T2 ratio of metastases 1.5-2.8 (T2 of
#: 60-90 ms), haemangiomas 2.5-5 (130 ms), cysts 4-8 (> 300 ms); diffusion weighting: cells keep their contrast, slow
#: blood half of it or less, fluid none, so that its is scattered around 0: (0, SD).
CONTRASTS: dict[Nature, dict[str, tuple[float, float]]] = {
    Nature.METASTASIS: {"mr-hbp": (0.5, 0.4), "mr-t2": (0.95, 0.45), "mr-dwi": (1.4, 0.5)},
    Nature.HAEMANGIOMA: {"mr-hbp": (0.57, 0.2), "mr-t2": (2.4, 0.4), "mr-dwi": (0.6, 0.5)},
    Nature.CYST: {"mr-hbp": (0.8, 0.12), "mr-t2": (4.2, 0.35), "mr-dwi": (0.0, 0.3)},
}
#: Before the sequences are heard: three of four foci in a NET patient's liver are metastases.
PRIOR = {Nature.METASTASIS: 0.75, Nature.HAEMANGIOMA: 0.125, Nature.CYST: 0.125}
#: What an answer errs by, as SD of its logarithm: the sequence's own point spread, slice phase, residual shift, and on
#: diffusion weighting distortion.
ERRORS = {"mr-hbp": 0.2, "mr-t2": 0.25, "mr-dwi": 0.45}
#: The best answer within the residual shift is that much over the one at the true place (SDs).
SHIFT_GAIN = 0.5
#: One answer in ten is another thing's (a vessel, an edge) and errs by so many SDs.
OUTLIERS, OUTLIER_SD = 0.1, 4.0
#: The share of the largest template's ball that a focus fills: log-normal around the cube of its scale's diameter, with
#: this SD (a fifth of the diameter either way), between these bounds.
SHARE_SD, SHARES = 0.7, (0.12, 2.4)
#: Of the contrast that a core is seen to have at least, this share is sure to be its own (the background's error), and
#: less than that is so unlikely.
SURE_SHARE, UNSURE = 0.85, 1e-3
#: Diffusivity against liver: (mean, SD) by kind; what a small focus' reading errs by at least (ADC is a quotient of
#: noisy images, and half of it is liver's), and how often by more.
DIFFUSIVITY = {Nature.METASTASIS: (1.0, 0.15), Nature.HAEMANGIOMA: (1.7, 0.2), Nature.CYST: (2.4, 0.3)}
ADC_SD, ADC_OUTLIERS = 0.8, 0.1
#: Steps of the two integrals, and how many SDs the inner one spans.
SHARE_STEPS, CONTRAST_STEPS, SPAN = 24, 27, 2.6


@dataclass(frozen=True, slots=True)
class Answer:
    """A sequence's answer ``z`` (SDs) to a ball of SMALL_MM's largest diameter, and what contrast 1 would give.

    ``least``: the contrast that the core is seen to have at least. ``darkness``: the liver's signal against an ordinary
    one's, of which every kind's contrast grows.
    """

    z: float
    gain: float
    least: float = 0.0
    darkness: float = 1.0


def kind_shares(
    answers: dict[str, Answer], diameter_mm: float, diffusivity: tuple[float, float] | None = None
) -> dict[Nature, float]:
    """Probability that a focus is each of metastasis, haemangioma and cyst, given that it is one of them.

    ``answers``: by role; roles without a known contrast are not heard. ``diameter_mm``: the scale that found it.
    ``diffusivity``: ADC against liver and its SD, None where it cannot be read.
    """
    shares = np.exp(np.linspace(math.log(SHARES[0]), math.log(SHARES[1]), SHARE_STEPS))
    expected = 3.0 * math.log(min(max(diameter_mm / SMALL_MM[-1], SMALL_MM[0] / SMALL_MM[-1]), 1.0))
    weights = np.exp(-0.5 * ((np.log(shares) - expected) / SHARE_SD) ** 2)
    found = {}
    for kind, contrasts in CONTRASTS.items():
        likelihood = weights.copy()
        for role, (median, spread) in contrasts.items():
            if role in answers:
                likelihood *= _likelihood(answers[role], shares, median, spread, ERRORS[role])
        found[kind] = PRIOR[kind] * float(likelihood.sum()) * _diffusivity_likelihood(kind, diffusivity)
    total = sum(found.values())
    return {kind: value / total for kind, value in found.items()}


def _likelihood(
    answer: Answer, shares: NDArray[np.float64], median: float, spread: float, error: float
) -> NDArray[np.float64]:
    """Likelihood (n,) of one sequence's answer for every share, its contrast integrated over."""
    steps = np.linspace(-SPAN, SPAN, CONTRAST_STEPS)
    weights = np.exp(-0.5 * steps**2)
    weights /= weights.sum()
    contrast = median * np.exp(math.hypot(spread, error) * steps) if median > 0 else spread * steps
    contrast = contrast if answer.darkness == 1.0 else (1.0 + contrast) / answer.darkness - 1.0
    weights *= np.where(contrast >= SURE_SHARE * answer.least, 1.0, UNSURE)
    off = answer.z - SHIFT_GAIN - answer.gain * shares[:, None] * contrast
    usual, other = np.exp(-0.5 * off**2), np.exp(-0.5 * (off / OUTLIER_SD) ** 2) / OUTLIER_SD
    values = np.asarray(((1 - OUTLIERS) * usual + OUTLIERS * other) @ weights, dtype=np.float64)
    return np.maximum(values, np.finfo(np.float64).tiny ** 0.25)  # far from all kinds alike: no product underflows


def _diffusivity_likelihood(kind: Nature, read: tuple[float, float] | None) -> float:
    if read is None:
        return 1.0
    mean, spread = DIFFUSIVITY[kind]
    sd = math.hypot(max(read[1], ADC_SD), spread)
    return (1 - ADC_OUTLIERS) * math.exp(-0.5 * ((read[0] - mean) / sd) ** 2) + ADC_OUTLIERS


def kind_words(answers: dict[str, Answer]) -> str:
    """What the balance is, for a reader: "contrast on T2 3.4 times that of the hepatobiliary phase, ..."."""
    contrast = {role: (a.z - SHIFT_GAIN) / a.gain for role, a in answers.items() if a.gain > 0}
    words = []
    t2, dwi, dark = contrast.get("mr-t2"), contrast.get("mr-dwi"), contrast.get("mr-hbp")
    if t2 is not None and dark is not None and dark > 0:
        words.append(f"the contrast on T2 is {max(t2 / dark, 0.0):.1f} times that of the hepatobiliary phase")
    if t2 is not None and dwi is not None and t2 > 0:
        words.append(f"diffusion weighting shows {max(dwi / t2, 0.0):.1f} times the contrast of T2")
    elif dwi is not None and dark is not None and dark > 0:
        words.append(f"the contrast on diffusion weighting is {max(dwi / dark, 0.0):.1f} times the hepatobiliary one")
    return "; ".join(words)
