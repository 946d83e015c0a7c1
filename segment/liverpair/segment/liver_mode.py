"""Find the liver's own intensity: the mode of the largest thick, homogeneous organ right of the midline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from liverpair.segment.liver_body import Body
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_morphology import BoolArray, close, depth, dilate, fill_holes

__all__ = ["OrganCore", "enclosing_core", "find_cores", "peaks_of", "place_prior", "robust_mode"]

#: The organ must hold a ball of this radius; kidneys (25–30 mm) and muscles do not, every liver does.
CORE_RADIUS_MM = 25.0
#: Beyond this, more thickness is not more liver but two tissues in one band; the more uniform band then wins.
THICKEST_MM = 55.0
#: Radius of the ball around the deepest point from which the organ's intensity is taken.
SAMPLE_RADIUS_MM = 30.0
#: Bins of the intensity histogram; about 30 across one organ's peak.
HISTOGRAM_BINS = 256
#: Radius of the largest vessels inside a liver (portal vein and hepatic veins, 12 mm wide).
VESSEL_MM = 6.0
#: Voxels nearer to the skin than this are skin, fat and body wall.
WALL_MM = 15.0


#: The layer (mm) around a lesion from which the organ that encloses it is sampled, and the share of the layer that
#: must be that one organ.
ENCLOSING_MM, LEAST_ENCLOSING = (6.0, 18.0), 0.5
#: Cores whose balls meet and whose modes lie within this many sd are one organ's.
SAME_SD = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class OrganCore:
    """Where the organ is thickest and what it looks like there.

    ``centre`` is a work-grid index, ``radius_mm`` the largest ball inside the intensity band, ``mode`` and
    ``sd`` the intensity of the smoothed image in ``ball`` (bool, grid.shape), at most that large.
    """

    centre: tuple[int, int, int]
    radius_mm: float
    mode: float
    sd: float
    ball: BoolArray


def robust_mode(values: NDArray[np.float32]) -> tuple[float, float]:
    """Mode (half-sample mode) of a sample and the sd of the peak around it; unmoved by lesions and vessels.

    The sd comes from the 34 % of all values on each side that lie nearest to the mode.
    """
    data = np.sort(np.asarray(values, dtype=np.float64).ravel())
    whole = data
    while len(data) > 20:
        half = len(data) // 2
        width = data[half:] - data[: len(data) - half]
        first = int(width.argmin())
        data = data[first : first + half + 1]
    mode = float(np.median(data))
    below, above = mode - whole[whole <= mode], whole[whole >= mode] - mode
    # 68.3 % of a half-normal lies within one sd; the tighter side is the one that no other tissue widens.
    sides = [float(np.quantile(side, 0.683)) for side in (below, above) if len(side) > len(whole) // 5]
    return mode, min(sides) if sides else float(whole.std())


def place_prior(body: Body) -> NDArray[np.float64]:
    """How plausible the liver's thickest part is at each place, in [0, 1], shape (ni, nj, nk).

    Right of the midline (the patient's, from the LPS axes), not in the back muscles, not in the body wall.
    """
    lateral, dorsal = body.lateral(), body.dorsal()
    side = 1 / (1 + np.exp((lateral + 0.15) / 0.08))
    back = 1 / (1 + np.exp((dorsal - 0.65) / 0.08))
    wall = 1 / (1 + np.exp(-(body.skin_mm - WALL_MM) / 3.0))
    return np.asarray(side * back * wall)


def peaks_of(profile: NDArray[np.float64], least: float) -> list[int]:
    """Local maxima of a profile (a plateau's middle) rising by ``least`` over the higher pass to what is higher.

    ``scipy.signal.find_peaks`` with its prominence does the same, but brings scipy.stats: a second of a first search.
    """
    level = np.concatenate([[0.0], profile, [0.0]])
    found: list[int] = []
    first = 1
    while first < len(level) - 1:
        last = first
        while last < len(level) - 2 and level[last + 1] == level[first]:
            last += 1
        if level[first - 1] < level[first] > level[last + 1]:
            before, after = level[:first], level[last + 1 :]
            higher = np.flatnonzero(before > level[first]), np.flatnonzero(after > level[first])
            left = before[higher[0][-1] if len(higher[0]) else 0 :].min()
            right = after[: higher[1][0] if len(higher[1]) else len(after)].min()
            if level[first] - max(left, right) >= least:
                found.append((first + last) // 2 - 1)
        first = last + 1
    return found


def _bands(
    smooth: NDArray[np.float32], quiet: BoolArray, window: tuple[float, float], least_share: float
) -> list[tuple[float, float]]:
    """Intensity bands (low, high) around the histogram's peaks, single peaks and runs of adjacent ones; they reach at
    least ``least_share`` of the peak's intensity to both sides."""
    counts, edges = np.histogram(smooth[quiet], bins=HISTOGRAM_BINS, range=window)
    centre = (edges[1:] + edges[:-1]) / 2
    bands: list[tuple[float, float]] = []
    for sigma in (2.0, 5.0):
        profile = ndimage.gaussian_filter1d(counts.astype(np.float64), sigma, mode="constant")
        for peak in peaks_of(profile, 0.02 * float(profile.max())):
            above = profile >= 0.3 * profile[peak]
            low = peak
            while low > 0 and above[low - 1] and profile[low - 1] <= profile[low] * 1.02:
                low -= 1
            high = peak
            while high < len(profile) - 1 and above[high + 1] and profile[high + 1] <= profile[high] * 1.02:
                high += 1
            # the flanks may be cut at a valley: widen by half of the band on both sides
            reach = max(high - peak, peak - low, 2) * 1.5
            step = centre[1] - centre[0]
            reach = max(reach, least_share * float(abs(centre[peak])) / float(step))
            bands.append((float(centre[peak] - reach * step), float(centre[peak] + reach * step)))
    return bands


def _deepest(
    band: BoolArray, prior: NDArray[np.float64], spacing: NDArray[np.float64]
) -> tuple[float, float, tuple[int, ...]]:
    """(score, ball radius in mm, index) of the best place for a big ball inside the band."""
    inner = depth(band, spacing)
    value = np.where(np.isfinite(inner), inner, 0) * prior
    at = np.unravel_index(int(value.argmax()), value.shape)
    return float(value[at]), float(inner[at]), tuple(int(i) for i in at)


def find_cores(
    features: Features,
    place: NDArray[np.float64] | None = None,
    least_radius_mm: float = CORE_RADIUS_MM,
    bridged_mm: float = VESSEL_MM,
    least_share: float = 0.0,
) -> list[OrganCore]:
    """What may be the liver's core, the likeliest first; empty where no thick homogeneous organ lies at its place.

    ``place``: how plausible each place is, in [0, 1]; right of the midline (``place_prior``) where None.
    ``bridged_mm``: vessels and lesions up to this radius are bridged. ``least_share``: an organ's band of intensities
    reaches so far from its peak (share of it); where the shading is gone, a peak may be narrower than its organ.

    Every peak of the histogram of quiet voxels at that place inside the physiological window proposes a band;
    the band that holds the thickest ball of one tissue comes first. A metastasis may hold a thicker ball than what it
    left of the liver, so the others are kept, too.
    """
    body, smooth, (low, high) = features.body, features.smooth, features.window
    allowed = features.allowed & body.tissue
    prior = (place_prior(body) if place is None else place) * allowed
    gradient = ndimage.gaussian_gradient_magnitude(smooth, 1.0)
    candidates = (prior > 0.3) & (smooth > low) & (smooth < high)
    if candidates.sum() < 1000:
        return []
    quiet = candidates & (gradient <= np.median(gradient[candidates]))
    found: list[tuple[float, OrganCore]] = []
    for first, last in _bands(smooth, quiet, features.window, least_share):
        band = (smooth >= max(first, low)) & (smooth <= min(last, high)) & allowed
        # portal and hepatic veins cross every liver: what a ball of their radius cannot enter is bridged
        band = fill_holes(close(band, bridged_mm, features.grid.spacing)) & body.tissue
        score, radius, at = _deepest(band, prior, features.grid.spacing)
        if radius < least_radius_mm:
            continue
        core = _measure_core(features, at, radius)
        score = min(score, THICKEST_MM) / (1 + core.sd / features.most_sd(core.mode))
        if core.sd <= features.most_sd(core.mode) and low <= core.mode <= high:
            found.append((score, core))
    cores: list[OrganCore] = []
    for _, core in sorted(found, key=lambda item: -item[0]):
        if all(_other_organ(features, core, known) for known in cores):
            cores.append(core)
    return cores


def _other_organ(features: Features, core: OrganCore, known: OrganCore) -> bool:
    """Whether a core is more than another sample of one that is known."""
    return abs(core.mode - known.mode) > SAME_SD * (core.sd + features.least_sd(core.mode)) or not bool(
        (core.ball & known.ball).any()
    )


def _measure_core(features: Features, at: tuple[int, ...], radius: float) -> OrganCore:
    point = np.zeros(features.smooth.shape, dtype=bool)
    point[at] = True
    ball = dilate(point, min(radius, SAMPLE_RADIUS_MM), features.grid.spacing)
    mode, sd = robust_mode(features.smooth[ball])
    return OrganCore((at[0], at[1], at[2]), radius, mode, sd, ball)


def enclosing_core(features: Features, lesion: BoolArray) -> OrganCore | None:
    """The core of the organ that encloses a large lesion, sampled from the layer around it; None where none does.

    A metastasis of 70 mm holds a thicker ball than the rest of its liver: what was found is then not the organ.
    """
    spacing = features.grid.spacing
    near, far = (dilate(lesion, reach, spacing) for reach in ENCLOSING_MM)
    layer = far & ~near
    tissue = layer & features.body.tissue & features.allowed
    if int(tissue.sum()) < 1000:
        return None
    mode, sd = robust_mode(features.smooth[tissue])
    sd = min(sd, features.most_sd(mode))
    ball = tissue & (np.abs(features.smooth - mode) <= 2 * max(sd, features.least_sd(mode)))
    low, high = features.window
    if int(ball.sum()) < LEAST_ENCLOSING * int(layer.sum()) or not low <= mode <= high:
        return None
    inner = depth(ball, spacing)
    at = np.unravel_index(int(inner.argmax()), inner.shape)
    return OrganCore((int(at[0]), int(at[1]), int(at[2])), float(inner[at]), mode, sd, ball)
