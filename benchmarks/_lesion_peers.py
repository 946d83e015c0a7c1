"""Detectors to compare with: scikit-image's blobs, LoG, h-maxima, levels of SUV, and the matched filter's bound.

Each takes a contrast image (lesions bright, liver 0, in noise units or not) on a grid cropped to the liver, and gives
places (index, float) with scores; the benchmark sweeps the scores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace, label, maximum_filter
from skimage.feature import blob_dog, blob_log
from skimage.morphology import h_maxima

__all__ = ["PEERS", "Scene", "levels", "matched_filter"]

FloatArray = NDArray[np.float64]
#: Diameters (mm) that every multi-scale detector searches.
DIAMETERS_MM = (4.0, 5.6, 8.0, 11.3, 16.0, 22.6, 32.0)
#: No sampled Gaussian is narrower than this (voxels).
NARROWEST = 0.6
#: Peaks that are merged, and foci that are kept of a detector: far more than the curves need.
MOST_PEAKS, MOST_FOCI = 2000, 200
#: Levels of h, in noise SDs, between which a maximum's score is found.
H_LEVELS = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 14.0, 20.0)
#: Share of the strongest frequency's noise below which the whitening does not go: the images hold nothing there.
WHITEST = 1e-2


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """What a detector gets: contrast in SDs of the liver's noise (0 outside the liver), the liver, and its spacing."""

    z: NDArray[np.float32]
    liver: NDArray[np.bool_]
    spacing: FloatArray


Found = list[tuple[FloatArray, float]]


def _maxima(response: NDArray[np.float32], scene: Scene, least: float) -> Found:
    top = (response >= maximum_filter(response, size=3)) & scene.liver & (response > least)
    return [(at.astype(float), float(response[tuple(at)])) for at in np.argwhere(top)]


def _merged(found: Found, spacing: FloatArray, sizes: list[float]) -> Found:
    """The strongest of each place: weaker ones within 0.65 of the larger diameter are the same."""
    order = sorted(range(len(found)), key=lambda i: -found[i][1])[:MOST_PEAKS]
    kept: list[int] = []
    places = np.array([found[n][0] for n in order]).reshape(-1, 3) * spacing
    widths = np.array([sizes[n] for n in order])
    for n in range(len(order)):
        gaps = np.linalg.norm(places[kept] - places[n], axis=1)
        if np.all(gaps >= 0.65 * np.maximum(widths[kept], widths[n])):
            kept.append(n)
    return [found[order[n]] for n in kept[:MOST_FOCI]]


def _sigma(diameter_mm: float, spacing: FloatArray) -> FloatArray:
    return np.maximum(diameter_mm / (2 * math.sqrt(3)) / spacing, NARROWEST)


def laplacian(scene: Scene) -> Found:
    """Scale-normalised LoG in millimetres, each scale in units of its own spread in the liver."""
    found: Found = []
    sizes: list[float] = []
    for diameter in DIAMETERS_MM:
        response = -gaussian_laplace(scene.z, _sigma(diameter, scene.spacing))
        inside = response[scene.liver]
        spread = 1.4826 * float(np.median(np.abs(inside - np.median(inside))))
        peaks = _maxima((response / max(spread, 1e-12)).astype(np.float32), scene, 3.0)
        found += peaks
        sizes += [diameter] * len(peaks)
    return _merged(found, scene.spacing, sizes)


def _skimage(scene: Scene, method: Callable[..., NDArray[np.float64]], **settings: float) -> Found:
    """blob_log or blob_dog with sigmas in voxels of each axis; the score is the LoG at the blob's own scale."""
    small, large = _sigma(DIAMETERS_MM[0], scene.spacing), _sigma(DIAMETERS_MM[-2], scene.spacing)
    image = scene.z.astype(np.float32)
    blobs = method(image, min_sigma=list(small), max_sigma=list(large), threshold=0.5, overlap=0.5, **settings)
    found: Found = []
    for sigma in np.unique(blobs[:, 3:], axis=0):
        response = -gaussian_laplace(image, sigma) * float(np.prod(sigma)) ** (2 / 3)
        for blob in blobs[(blobs[:, 3:] == sigma).all(axis=1)]:
            at = blob[:3].astype(int)
            if scene.liver[tuple(at)]:
                found.append((at.astype(float), float(response[tuple(at)])))
    return sorted(found, key=lambda item: -item[1])[:MOST_FOCI]


def skimage_log(scene: Scene) -> Found:
    """scikit-image's blob_log."""
    return _skimage(scene, blob_log, num_sigma=6)


def skimage_dog(scene: Scene) -> Found:
    """scikit-image's blob_dog."""
    return _skimage(scene, blob_dog)


def domes(scene: Scene) -> Found:
    """h-maxima of the lightly smoothed image; the score is the largest h (noise SDs) that a maximum survives."""
    smooth = gaussian_filter(scene.z, _sigma(4.0, scene.spacing))
    inside = smooth[scene.liver]
    spread = 1.4826 * float(np.median(np.abs(inside - np.median(inside))))
    smooth = (smooth / max(spread, 1e-12)).astype(np.float32)
    found: dict[tuple[int, ...], float] = {}
    for h in H_LEVELS:
        parts, count = label(h_maxima(smooth, h))
        for number in range(1, count + 1):
            region = np.argwhere(parts == number)
            at = region[int(np.argmax(smooth[tuple(region.T)]))]
            if scene.liver[tuple(at)]:
                found[tuple(int(x) for x in at)] = h
    return [(np.asarray(at, dtype=float), h) for at, h in sorted(found.items(), key=lambda item: -item[1])][:MOST_FOCI]


def levels(values: NDArray[np.float32], liver: NDArray[np.bool_], level: float) -> Found:
    """Components of the liver over one level (41 % of its maximum, PERCIST-like); the score is their maximum."""
    parts, count = label(liver & (values >= level))
    found: Found = []
    for number in range(1, min(count, 400) + 1):
        region = np.argwhere(parts == number)
        inside = values[tuple(region.T)]
        found.append((region[int(np.argmax(inside))].astype(float), float(inside.max())))
    return found


def _ball(shape: tuple[int, ...], spacing: FloatArray, diameter_mm: float) -> FloatArray:
    """A ball around index 0 (wrapped), sampled 3 times per axis and voxel."""
    total = np.zeros(shape)
    for shift in np.ndindex(3, 3, 3):
        squares = np.zeros(shape)
        for axis, (n, h) in enumerate(zip(shape, spacing, strict=True)):
            place = (np.fft.fftfreq(n, 1.0 / n) + (shift[axis] - 1) / 3.0) * h
            squares = squares + (place**2).reshape([-1 if a == axis else 1 for a in range(3)])
        total += squares <= (diameter_mm / 2) ** 2
    return total / 27.0


def matched_filter(scene: Scene, fwhm_mm: FloatArray, noise_fwhm_mm: float) -> Found:
    """The ideal observer for balls of DIAMETERS_MM in stationary noise of known spectrum, seen through a known PSF.

    ``fwhm_mm`` (3,) is the point spread per axis, ``noise_fwhm_mm`` the Gaussian that made the noise (0: white). Each
    template is whitened, its answer is in SDs of the noise, and the largest over the diameters counts.
    """
    shape = tuple(n + math.ceil(20.0 / h) for n, h in zip(scene.z.shape, scene.spacing, strict=True))
    frequency = [np.fft.fftfreq(n, h) for n, h in zip(shape, scene.spacing, strict=True)]
    squares = [(f**2).reshape([-1 if a == axis else 1 for a in range(3)]) for axis, f in enumerate(frequency)]
    width = 2 * (math.pi / 2.3548) ** 2
    blur = np.exp(-width * sum(s * w**2 for s, w in zip(squares, fwhm_mm, strict=True)))
    power = np.exp(-2 * width * noise_fwhm_mm**2 * sum(squares))
    power = np.maximum(power / power.mean(), WHITEST * float(power.max() / power.mean()))
    data = np.fft.fftn(np.pad(scene.z, [(0, n - m) for n, m in zip(shape, scene.z.shape, strict=True)]))
    found: Found = []
    sizes: list[float] = []
    for diameter in (3.0, *DIAMETERS_MM):
        template = np.fft.fftn(_ball(shape, scene.spacing, diameter)) * blur
        weight = np.conj(template) / power
        norm = math.sqrt(float(np.sum(np.abs(template) ** 2 / power)) / math.prod(shape))
        answer = np.fft.ifftn(data * weight).real / norm
        window = tuple(slice(0, n) for n in scene.z.shape)
        peaks = _maxima(answer[window].astype(np.float32), scene, 3.5)
        found += peaks
        sizes += [diameter] * len(peaks)
    return _merged(found, scene.spacing, sizes)


PEERS: dict[str, Callable[[Scene], Found]] = {
    "blob_log": skimage_log,
    "blob_dog": skimage_dog,
    "LoG": laplacian,
    "h-maxima": domes,
}
