"""Could this PET have shown this lesion? Predicted contrast-to-noise, P(detect), minimal diameter, and the
bound T₉₅.

Model: a sphere of diameter D and true tumour-to-liver ratio T shows a peak of (T − 1)·RCmax(D, F) liver
means, against voxel noise of COV liver means; it is detected when peak plus noise exceeds t standard
deviations (t is the detector's own threshold). Where the detector tells its noise, P(detect) is that of its
whole search (search_model.py). All ratios are to the liver reference's mean. Source: ../shared/spec/lesions.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from liverpair.core.errors import ConfigError, UsageError
from liverpair.evaluate.distributions import normal_cdf, normal_quantile
from liverpair.evaluate.partial_volume import contrast_from, diameter_at_rc_max, profile, rc_max, rc_max_breathing
from liverpair.evaluate.search_model import Place, Search, p_found

__all__ = [
    "Avidity",
    "DetectabilitySettings",
    "MinimalDiameter",
    "Prediction",
    "Scanner",
    "classify",
    "detection_margin",
    "estimate_avidity",
    "minimal_diameter",
    "p_detect",
    "pool_avidity",
    "predict",
    "predicted_cnr",
    "recovery",
    "t95",
]

#: One-sided 95 % quantile of the normal distribution.
Z95 = 1.6448536269514722
#: P(detect) is stated between these: beyond them its quantile says nothing more.
SURE = 1e-12


@dataclass(frozen=True, slots=True)
class DetectabilitySettings:
    """How a missed lesion is judged.

    ``non_avid_t95``: a bound below this says the lesion itself is not avid. ``visible_p``: P(detect) below it
    is "expected invisible". ``shortest_mm``: no minimal diameter below this is stated, the model is
    optimistic there. ``least_recovery``: an avid lesion smaller than this recovery allows says too little
    about T (a 10 % error of its diameter would change T − 1 by more than a quarter). ``avid_ratio``: a
    measured ratio above it is avid. ``fewest_lesions``: with fewer corrected lesions than this in the
    patient, the cohort speaks. ``largest_uncertainty_mm``: a registration less certain than this cannot say
    where to look.
    """

    non_avid_t95: float = 1.5
    visible_p: float = 0.5
    shortest_mm: float = 4.5
    least_recovery: float = 0.3
    avid_ratio: float = 1.2
    fewest_lesions: int = 1
    largest_uncertainty_mm: float = 15.0

    def __post_init__(self) -> None:
        if not 0 < self.visible_p < 1 or not 0 < self.least_recovery < 1 or self.non_avid_t95 <= 1:
            raise ConfigError("detectability: visible_p and least_recovery lie in (0, 1), non_avid_t95 above 1")


@dataclass(frozen=True, slots=True)
class Scanner:
    """What decides visibility in one PET: resolution F (mm) and its source, liver noise, detector threshold.

    ``threshold`` is in standard deviations of the voxel noise; ``voxel_mm`` the voxel step (root mean square
    over the axes) that the resolution does not already contain (0 where F was measured in the image);
    ``breathing_mm`` the cranio-caudal amplitude, peak to peak.

    A detector that also searches in smoothed images sees more than the voxel's CNR says: ``search_fwhm_mm``
    are the extra widths it uses and ``noise_fwhm_mm`` the noise's own (0: unknown, the voxel formula holds).
    ``search_cov`` and ``search_skew`` are what it measured there, without smoothing first: the noise's SD over
    the liver's level, and its skewness s, with which it takes ln(1 + s·r)/s for r standard deviations (0: r
    itself). With them P(detect) is that of the whole search (search_model.py); without, white noise behind a
    Gaussian of ``noise_fwhm_mm`` and one look are assumed. ``place_noise`` and ``place_spread`` (mean, relative SD)
    say how noise and level differ from place to place in the liver, ``background_sigma_mm`` how wide the local
    mean is against which a focus is held.
    """

    fwhm_mm: float
    cov: float
    threshold: float
    fwhm_source: str = "default"
    voxel_mm: float = 0.0
    breathing_mm: float = 0.0
    noise_fwhm_mm: float = 0.0
    search_fwhm_mm: tuple[float, ...] = ()
    search_cov: tuple[float, ...] = ()
    search_skew: tuple[float, ...] = ()
    place_noise: float = 1.0
    place_spread: float = 0.0
    background_sigma_mm: float = 0.0

    def __post_init__(self) -> None:
        for name in ("search_fwhm_mm", "search_cov", "search_skew"):
            object.__setattr__(self, name, tuple(getattr(self, name)))  # a list, where read from JSON
        if not (self.fwhm_mm > 0 and self.cov > 0 and self.threshold > 0 and self.place_noise > 0):
            raise UsageError("a scanner needs a positive resolution, noise and threshold")
        if any(len(x) not in (0, len(self.search_fwhm_mm) + 1) for x in (self.search_cov, self.search_skew)):
            raise UsageError("the search's noise is given for no smoothing and for every search width, or not at all")


@dataclass(frozen=True, slots=True)
class Avidity:
    """Expected true tumour-to-liver ratio T: median and quartiles over n corrected lesions of a source."""

    median: float
    lower_quartile: float
    upper_quartile: float
    n: int
    source: str


@dataclass(frozen=True, slots=True)
class MinimalDiameter:
    """The smallest visible diameter in mm, None where there is none; ``reason`` says why or qualifies it."""

    mm: float | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one lesion; fields that its inputs do not allow are None.

    ``verdict``: truly_non_avid | expected_invisible | indeterminate | not_evaluable.
    """

    predicted_cnr: float | None
    p_detect: float | None
    p_detect_range: tuple[float, float] | None
    t95: float | None
    verdict: str
    reason: str


def recovery(diameter_mm: float, scanner: Scanner) -> float:
    """RCmax of a sphere in this scanner, voxels and breathing included."""
    return rc_max_breathing(diameter_mm, scanner.fwhm_mm, scanner.breathing_mm, scanner.voxel_mm)


def predicted_cnr(true_ratio: float, diameter_mm: float, scanner: Scanner) -> float:
    """(T − 1)·RCmax/COV: the expected peak in standard deviations of the liver's voxel noise."""
    return (true_ratio - 1) * recovery(diameter_mm, scanner) / scanner.cov


def _searches(scanner: Scanner) -> list[Search]:
    """The images searched, the unsmoothed one first.

    A smoother image has fewer independent places, so a lower threshold is as strict there: t² − 6·ln(F/F'), the
    leading term of the expected number of clusters; never below √3, where the formula ends.
    """
    noise = scanner.noise_fwhm_mm
    widths = (0.0, *(scanner.search_fwhm_mm if noise > 0 else ()))
    found = []
    for number, width in enumerate(widths):
        wider = math.hypot(noise, width) / noise if width > 0 else 1.0
        cov = scanner.search_cov[number] if scanner.search_cov else scanner.cov * wider**-1.5
        skew = scanner.search_skew[number] if scanner.search_skew else 0.0
        least = min(math.sqrt(3.0), scanner.threshold)
        threshold = math.sqrt(max(scanner.threshold**2 - 6 * math.log(wider), least**2))
        found.append(Search(width, cov, skew, threshold))
    return found


def _sampled(diameter_mm: float, fwhm_mm: float, scanner: Scanner) -> float:
    """Recovery at the voxel nearest to a lesion that lies anywhere between the voxels' centres.

    The root mean square of that distance is half a voxel (three axes of h²/12 each).
    """
    peak = rc_max_breathing(diameter_mm, fwhm_mm, scanner.breathing_mm, scanner.voxel_mm)
    if scanner.voxel_mm <= 0:
        return peak
    args = (diameter_mm, fwhm_mm, scanner.voxel_mm)
    return peak * float(profile(scanner.voxel_mm / 2, *args) / rc_max(*args))


def detection_margin(true_ratio: float, diameter_mm: float, scanner: Scanner) -> float:
    """By how many standard deviations of what decides a lesion lies over the detector's threshold: Φ⁻¹(P(detect)).

    Where the detector's noise is not known, the largest margin of the expected peak at the voxel that one looks at:
    smoothing by w lowers the peak to the recovery at √(F² + w²) and the noise more, until w outgrows the lesion.
    Without voxels and search widths that is CNR − t.
    """
    searches = _searches(scanner)
    if scanner.search_cov and scanner.noise_fwhm_mm > 0:
        place = Place(
            scanner.fwhm_mm, scanner.voxel_mm, scanner.breathing_mm, scanner.noise_fwhm_mm, scanner.place_noise,
            scanner.place_spread, scanner.background_sigma_mm,
        )  # fmt: skip
        probability = p_found(true_ratio, diameter_mm, place, tuple(searches))
        return normal_quantile(min(max(probability, SURE), 1 - SURE))
    margins = []
    for search in searches:
        kept = _sampled(diameter_mm, math.hypot(scanner.fwhm_mm, search.width_mm), scanner)
        rise = (true_ratio - 1) * kept / search.cov
        z = math.log1p(search.skew * max(rise, 0.0)) / search.skew if search.skew > 0 else rise
        margins.append(z - search.threshold)
    return max(margins)


def p_detect(cnr: float, threshold: float) -> float:
    """Φ(CNR − t): the probability that peak plus noise exceeds the threshold."""
    return normal_cdf(cnr - threshold)


def minimal_diameter(
    true_ratio: float, scanner: Scanner, settings: DetectabilitySettings | None = None
) -> MinimalDiameter:
    """Diameter at which a lesion of ratio T is seen half of the time: RCmax = t·COV/(T − 1).

    It states what the voxel's CNR allows, whatever else a detector does; None at t·COV ≥ T − 1.
    """
    settings = settings or DetectabilitySettings()
    if true_ratio - 1 <= scanner.threshold * scanner.cov:
        return MinimalDiameter(None, "t·COV ≥ T − 1: a lesion of any size stays within the noise")
    needed = scanner.threshold * scanner.cov / (true_ratio - 1)
    found = diameter_at_rc_max(needed, scanner.fwhm_mm, scanner.breathing_mm, scanner.voxel_mm)
    if found is None:
        return MinimalDiameter(None, "no diameter recovers enough contrast")
    if found < settings.shortest_mm:
        return MinimalDiameter(settings.shortest_mm, f"the model says {found:.1f} mm and is optimistic there")
    return MinimalDiameter(found)


def t95(z_obs: float, diameter_mm: float, scanner: Scanner) -> float:
    """Upper 95 % bound of the true ratio where z_obs was measured: 1 + (z_obs + 1.645)·COV/RC(D)."""
    return 1 + (z_obs + Z95) * scanner.cov / recovery(diameter_mm, scanner)


def estimate_avidity(
    measured: Sequence[tuple[float, float]],
    scanner: Scanner,
    cohort: Avidity | None = None,
    settings: DetectabilitySettings | None = None,
) -> Avidity | None:
    """T of this patient from its seen lesions, each (measured SUVmax-to-liver ratio, diameter in mm, best
    from MRI).

    Each is corrected for partial volume, T = 1 + (ratio − 1)/RC; lesions that are not avid or too small to
    correct are left out. With too few left the cohort's T is returned, and None where there is no cohort
    either.
    """
    own = pool_avidity([(ratio, diameter, scanner) for ratio, diameter in measured], "patient", settings)
    return own or cohort


def pool_avidity(
    measured: Sequence[tuple[float, float, Scanner]],
    source: str = "cohort",
    settings: DetectabilitySettings | None = None,
) -> Avidity | None:
    """T over seen lesions, each (measured ratio, diameter in mm, the scanner that saw it); None with too few."""
    settings = settings or DetectabilitySettings()
    corrected = []
    for ratio, diameter, scanner in measured:
        kept = recovery(diameter, scanner)
        if ratio >= settings.avid_ratio and kept >= settings.least_recovery:
            corrected.append(contrast_from(ratio, kept))
    if len(corrected) < settings.fewest_lesions:
        return None
    low, middle, high = (float(v) for v in np.percentile(corrected, (25, 50, 75)))
    return Avidity(middle, low, high, len(corrected), source)


def classify(
    bound: float | None,
    probability: float | None,
    avidity: Avidity | None,
    settings: DetectabilitySettings | None = None,
) -> str:
    """truly_non_avid | expected_invisible | indeterminate from T₉₅, P(detect) and the usual avidity."""
    settings = settings or DetectabilitySettings()
    if bound is not None and bound < settings.non_avid_t95:
        return "truly_non_avid"
    invisible = probability is not None and probability < settings.visible_p
    if invisible and bound is not None and avidity is not None and bound > avidity.lower_quartile:
        return "expected_invisible"
    return "indeterminate"


def predict(
    diameter_mm: float | None,
    scanner: Scanner | None,
    avidity: Avidity | None,
    z_obs: float | None = None,
    not_evaluable: str = "",
    settings: DetectabilitySettings | None = None,
) -> Prediction:
    """Everything the model says of one reference lesion that PET did not show.

    ``z_obs`` is the PET's signal at its place (evidence.py), None where it could not be measured;
    ``not_evaluable`` is the reason why the place cannot be judged at all (outside the field of view,
    registration too uncertain).
    """
    settings = settings or DetectabilitySettings()
    if scanner is None or diameter_mm is None or diameter_mm <= 0:
        reason = not_evaluable or ("no liver reference in the PET" if scanner is None else "no diameter")
        return Prediction(None, None, None, None, "not_evaluable", reason)
    cnr = probability = spread = None
    if avidity is not None:
        cnr = predicted_cnr(avidity.median, diameter_mm, scanner)
        probability = p_detect(detection_margin(avidity.median, diameter_mm, scanner), 0.0)
        low, high = (
            p_detect(detection_margin(T, diameter_mm, scanner), 0.0)
            for T in (avidity.lower_quartile, avidity.upper_quartile)
        )
        spread = (low, high)
    bound = None if z_obs is None else t95(z_obs, diameter_mm, scanner)
    if not_evaluable:
        return Prediction(cnr, probability, spread, bound, "not_evaluable", not_evaluable)
    verdict = classify(bound, probability, avidity, settings)
    return Prediction(cnr, probability, spread, bound, verdict, "" if avidity else "no avid lesion to take T from")
