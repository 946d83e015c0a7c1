"""Find foci of a few millimetres: matched filters of all sequences at one place, and no vessel that leads through it.

A small lesion is dark or bright in every sequence at once, a vessel is not: it is dark on T2 and diffusion weighting
too, and it goes on beyond the focus. Both are read at every peak of the main sequence (and where another sequence
has one), and weighed by a logistic model.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt, gaussian_filter, map_coordinates

from liverpair.segment.mr_evidence import Sequence, SequencePeak
from liverpair.segment.mr_joint import DISTORTED_MM, SHIFT_MM, Answer, joint_map
from liverpair.segment.mr_matched import SMALL_MM, Matched, match_balls
from liverpair.segment.scale_space import blob_response, local_maxima

__all__ = [
    "SMALL_MM",
    "SmallEvidence",
    "SmallSearch",
    "prepare_search",
    "small_evidence",
    "small_foci",
    "small_log_odds",
    "with_shape",
]

FloatArray = NDArray[np.float64]
#: Joint log-odds (mr_joint, up to a constant) from which a place is looked at, and the least answer (SDs) that the main
#: sequence must give there: three SDs of the main answer with the others silent.
JOINT_LOG_ODDS, SUPPORT_Z = 3.0, 2.0
#: Roles that are heard beside the main one when places are looked for.
SUPPORTING = ("mr-t2", "mr-dwi")
#: Peaks nearer than this (mm) to a stronger one are the same focus.
SAME_MM = 3.0
#: Most peaks that are weighed, strongest first: several times what a liver full of vessels has.
MOST_PEAKS = 3000
#: Residual motion between sequences: SD (mm) of its prior, and how far it is searched.
SHIFT_SD_MM, SHIFT_MOST_MM = 1.3, 2.6
#: Directions in which a vessel is followed, and how far from the focus' edge (mm).
DIRECTIONS, FOLLOWED_MM = 64, (2.0, 3.5, 5.0)
#: Two directions belong to one vessel that passes through where they are at least 120° apart.
THROUGH_COSINE = -0.5
#: The contrast along a vessel is read lightly smoothed (σ in mm) and no higher than this.
SMOOTH_MM, MOST_CONTRAST = 1.0, 1.0
#: Small differences of curvature against noise need a scale of at least this diameter (mm).
CURVATURE_MM = 4.0
#: Relative contrast that a metastasis typically has, by role: half of its answer is where a sequence is neutral.
TYPICAL = {
    "mr-hbp": 0.5,
    "mr-t1-native": 0.3,
    "mr-portal": 0.2,
    "mr-arterial": 0.25,
    "mr-t2": 1.0,
    "mr-dwi": 1.5,
}
#: A contrast beyond this many times the typical one is a neighbour's (fluid, bile) that reaches in.
BEYOND_TYPICAL = 1.8


#: Logistic fit to livers of four independent simulators (49 examinations with thick and thin slices, residual motion of
#: 1-4 mm and EPI distortion; 238 foci below 6 mm, 7000 other places), cross-validated over examinations, rounded.
#: Promised against kept there: 0.03/0.03, 0.07/0.07, 0.14/0.15, 0.24/0.18, 0.46/0.58, 0.9/1.0. Each simulator has
#: its own share of lesions among its places: the prior lies between theirs, and half a unit below the fit's own (-4.8),
#: with which 19 fresh examinations of two of them kept 1 of 8 foci promised at 0.35 and 4 of 8 promised at 0.71.
#: Units are log-odds: of nothing; per SD of the main answer below and above MAIN_NEUTRAL, within MAIN_RANGE (noise
#: becomes impossible above it, vessels do not); per SD of another sequence's answer over its neutral one; per SD of its
#: unshifted answer. Native T1 has no say: a vessel is as dark there as a lesion.
PRIOR = -5.3
MAIN_SLOPES, MAIN_NEUTRAL, MAIN_RANGE = (1.2, 0.25), 5.0, (0.0, 12.0)
ANSWER_SLOPE = {"mr-t2": 0.4, "mr-dwi": 0.5, "mr-portal": 0.3, "mr-t1-native": 0.0, "mr-arterial": 0.2, "mr-hbp": 0.7}
CENTRE_SLOPE = {"mr-t2": 1.0, "mr-dwi": 1.1}
#: What speaks for a lesion together is worth more than its sum: from these log-odds on each counts twice.
SURE_FROM, SURE_SLOPE = -1.0, 1.0
#: The region of a few noisy voxels is seldom round or free, and what leads through the focus was weighed already: the
#: share of its log-odds that counts, and the least of them.
SHAPE_SHARE, SHAPE_LEAST = 0.25, -9.0
#: An answer counts so far below and above the neutral one, a centre so far below and above 0: one sequence alone does
#: not decide.
ANSWER_RANGE, CENTRE_RANGE = (-4.0, 5.0), (-4.0, 3.0)
#: The neutral answer is half the typical one, within these bounds (noise alone reaches the first within the shift).
NEUTRAL_RANGE, SHIFT_GAIN = (0.5, 3.0), 0.5
#: A small ball's core reads at least this share of its contrast through the point spread; with what noise may hide of
#: it (SDs of a smoothed reading, itself the third share of a voxel's), it bounds the main answer: between bright
#: vessels plain liver is darker than all around it and answers like a ball, but is no darker than liver.
CORE_SHARE, CORE_SDS, SMOOTHED_NOISE = 0.3, 2.0, 0.35
#: Per share of the contrast that goes on through the focus, and to one side; per blobness, between these bounds.
THROUGH_SLOPE, ALONG_SLOPE, BLOB_SLOPE, BLOB_RANGE = -3.0, -1.7, 6.5, (0.25, 0.8)
#: Per mm nearer to the border than EDGE_MM (voxels at the border are half a neighbour's), to EDGE_MOST at most.
EDGE_MM, EDGE_MOST, EDGE_SLOPE = 4.0, 3.0, -2.3
#: Per SD of T2 beyond what a metastasis' contrast explains, from EXCESS_FROM on, up to EXCESS_MOST.
EXCESS_SLOPE, EXCESS_FROM, EXCESS_MOST = -1.0, 4.0, 8.0


@dataclass(frozen=True, slots=True, eq=False)
class SmallSearch:
    """The matched answers of every sequence, and what is read on the main one (``main``) around a place."""

    main: str
    sequences: dict[str, Sequence]
    matched: dict[str, Matched]
    smooth: NDArray[np.float32]
    depth: NDArray[np.float32]
    blobness: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True, eq=False)
class SmallEvidence:
    """What is read at n places. ``lps`` (n, 3) mm; the rest (n,) each.

    ``answer[role]``: the largest matched answer within the shift, less the shift's own improbability, and the main one
    no more than what its core shows; ``centre[role]`` the answer without any shift; ``gain[role]`` what a ball of
    contrast 1 would answer. ``through`` and ``along``: how much of the focus' contrast goes on in two opposite
    directions, or in one. ``blobness`` of the main sequence; ``depth_mm`` in the searched region.
    """

    lps: FloatArray
    scale: NDArray[np.int64]
    answer: dict[str, FloatArray]
    centre: dict[str, FloatArray]
    gain: dict[str, FloatArray]
    through: FloatArray
    along: FloatArray
    blobness: FloatArray
    depth_mm: FloatArray


def prepare_search(sequences: dict[str, Sequence]) -> SmallSearch:
    """Filter every sequence but ADC (a quotient of noisy images); the first one is the main one."""
    main = next(iter(sequences))
    roles = [role for role in sequences if role in TYPICAL] or [main]
    matched = {
        role: match_balls(s.contrast, s.liver, s.grid.spacing, s.noise)
        for role, s in sequences.items()
        if role in roles
    }
    lead = sequences[main]
    spacing = lead.grid.spacing
    smooth = gaussian_filter(np.clip(lead.contrast, -MOST_CONTRAST, MOST_CONTRAST), SMOOTH_MM / spacing)
    depth = distance_transform_edt(lead.domain, sampling=spacing).astype(np.float32)
    blobs = tuple(blob_response(lead.contrast, spacing, max(d, CURVATURE_MM), 1)[1] for d in SMALL_MM)
    return SmallSearch(main, sequences, matched, np.asarray(smooth, dtype=np.float32), depth, blobs)


def _directions() -> FloatArray:
    """DIRECTIONS unit vectors (n, 3), evenly over the sphere (golden spiral)."""
    n = np.arange(DIRECTIONS) + 0.5
    polar, turn = np.arccos(1 - 2 * n / DIRECTIONS), np.pi * (1 + 5**0.5) * n
    return np.stack([np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1)


def _near(
    sequence: Sequence, answer: NDArray[np.float32], lps: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """At places (n, 3): the answer there, the best one within the shift less its penalty, and where that is (LPS).

    A voxel counts as near as its nearest part: half a voxel (in the plane, or SHIFT_SD_MM) is not a shift.
    """
    spacing = sequence.grid.spacing
    index = np.asarray(sequence.grid.to_index(lps))
    centre = map_coordinates(answer, index.T, order=1, mode="nearest")
    reach = np.ceil(SHIFT_MOST_MM / spacing).astype(int)
    steps = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), axis=-1).reshape(-1, 3)
    base = np.rint(index).astype(np.int64)
    places = base[:, None, :] + steps
    inside = np.all((places >= 0) & (places < np.asarray(answer.shape)), axis=2)
    places = np.clip(places, 0, np.asarray(answer.shape) - 1)
    gap = np.linalg.norm((places - index[:, None, :]) * spacing, axis=2)
    gap = np.maximum(gap - 0.5 * float(np.linalg.norm(np.minimum(spacing, SHIFT_MOST_MM))), 0.0)
    value = answer[places[..., 0], places[..., 1], places[..., 2]] - 0.5 * (gap / SHIFT_SD_MM) ** 2
    value = np.where(inside & (gap <= SHIFT_MOST_MM), value, -np.inf)
    best = np.argmax(value, axis=1)
    rows = np.arange(len(lps))
    found = np.where(np.isfinite(value[rows, best]), value[rows, best], 0.0)
    return centre.astype(np.float64), np.maximum(found, centre), sequence.grid.to_world(places[rows, best])


def _peaks(search: SmallSearch) -> list[tuple[float, int, NDArray[np.int64]]]:
    """(joint log-odds, most likely scale, index on the main grid) of places worth weighing, likeliest first."""
    lead, own = search.sequences[search.main], search.matched[search.main]
    roles = [role for role in SUPPORTING if role in search.matched and role != search.main]
    found = []
    for n, main in enumerate(own.z):
        others: list[Answer] = []
        for role in roles:
            other, grid = search.matched[role], search.sequences[role].grid
            motion = DISTORTED_MM if role == "mr-dwi" else SHIFT_MM
            others.append((other.z[n], grid, other.gains[n], _typical(search, role), motion))
        joint = joint_map(main, lead.grid, others)
        places = local_maxima(joint, lead.domain & (main > SUPPORT_Z), JOINT_LOG_ODDS)
        found += [(float(joint[tuple(at)]), n, at) for at in places]
    found.sort(key=lambda item: (-item[0], item[1], tuple(item[2])))
    return found[: 3 * MOST_PEAKS]


def _apart(
    found: list[tuple[float, int, NDArray[np.int64]]], spacing: FloatArray
) -> list[tuple[float, int, NDArray[np.int64]]]:
    """The strongest of each place: none within SAME_MM of a stronger one."""
    kept: list[tuple[float, int, NDArray[np.int64]]] = []
    cells: dict[tuple[int, ...], list[FloatArray]] = {}
    for item in found:
        place = item[2] * spacing
        cell = tuple(int(c) for c in np.floor(place / SAME_MM))
        around = [tuple(c + o - 1 for c, o in zip(cell, off, strict=True)) for off in np.ndindex(3, 3, 3)]
        if any(float(np.linalg.norm(place - other)) < SAME_MM for key in around for other in cells.get(key, ())):
            continue
        cells.setdefault(cell, []).append(place)
        kept.append(item)
        if len(kept) == MOST_PEAKS:
            break
    return kept


def small_evidence(search: SmallSearch, lps: FloatArray, scale: NDArray[np.int64]) -> SmallEvidence:
    """Read every sequence at places (n, 3) LPS mm, each for its scale (n,), an index into SMALL_MM."""
    answer = {role: np.zeros(len(lps)) for role in search.matched}
    centre = {role: np.zeros(len(lps)) for role in search.matched}
    gain = {role: np.zeros(len(lps)) for role in search.matched}
    for n in np.unique(scale):
        rows = np.flatnonzero(scale == n)
        for role, matched in search.matched.items():
            here, best, _ = _near(search.sequences[role], matched.z[n], lps[rows])
            answer[role][rows], centre[role][rows], gain[role][rows] = best, here, matched.gains[n]
    index = np.asarray(search.sequences[search.main].grid.to_index(_main_places(search, lps, scale)))
    answer[search.main] = np.minimum(answer[search.main], _core_bound(search, index, gain[search.main]))
    through, along = _continuation(search, index, scale)
    at = tuple(np.clip(np.rint(index).astype(int), 0, np.asarray(search.depth.shape) - 1).T)
    blobness = np.stack([blob[at] for blob in search.blobness])[scale, np.arange(len(lps))]
    return SmallEvidence(
        lps, scale, answer, centre, gain, through, along, blobness.astype(np.float64), search.depth[at].astype(float)
    )


def _core_bound(search: SmallSearch, index: FloatArray, gain: FloatArray) -> FloatArray:
    """The largest main answer (n,) that a lesion could give whose core reads as the main sequence does there."""
    core = map_coordinates(search.smooth, index.T, order=1, mode="nearest")
    hidden = CORE_SDS * SMOOTHED_NOISE * search.sequences[search.main].noise
    return np.asarray(gain * np.maximum(core + hidden, 0.0) / CORE_SHARE, dtype=np.float64)


def _main_places(search: SmallSearch, lps: FloatArray, scale: NDArray[np.int64]) -> FloatArray:
    """Where the main sequence shows each place (n, 3) best within the shift: another sequence may have led there."""
    places = np.array(lps, dtype=np.float64)
    for n in np.unique(scale):
        rows = np.flatnonzero(scale == n)
        places[rows] = _near(search.sequences[search.main], search.matched[search.main].z[n], places[rows])[2]
    return places


def _continuation(search: SmallSearch, index: FloatArray, scale: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """The share of the focus' contrast that goes on in two opposite directions, and in one (n,), each in 0..1.

    What goes on in a direction is the mean over FOLLOWED_MM: the least of noisy values would call every vessel cut.
    """
    spacing = search.sequences[search.main].grid.spacing
    directions = _directions()
    core = map_coordinates(search.smooth, index.T, order=1, mode="nearest")
    radius = np.asarray(SMALL_MM)[scale] / 2
    onward = np.zeros((len(index), DIRECTIONS))
    for far in FOLLOWED_MM:
        points = index[:, None, :] + directions * (radius[:, None, None] + far) / spacing
        values = map_coordinates(search.smooth, points.reshape(-1, 3).T, order=1, mode="nearest")
        onward += values.reshape(len(index), DIRECTIONS) / len(FOLLOWED_MM)
    share = np.clip(onward / np.maximum(core, 1e-3)[:, None], 0.0, 1.0)
    through = np.zeros(len(index))
    opposed = directions @ directions.T < THROUGH_COSINE
    for n in range(DIRECTIONS):
        through = np.maximum(through, np.minimum(share[:, n], np.where(opposed[n], share, 0.0).max(axis=1)))
    return through, share.max(axis=1)


def small_log_odds(search: SmallSearch, evidence: SmallEvidence, fluid: bool = False) -> FloatArray:
    """Log-odds (n,) that the places hold a lesion rather than a vessel, noise or a neighbour's edge.

    ``fluid``: that they hold a cyst or haemangioma, which diffusion weighting need not show and T2 shows too brightly
    for a metastasis.
    """
    odds = np.full(len(evidence.lps), PRIOR)
    for role in evidence.answer:
        answer, gain = evidence.answer[role], evidence.gain[role]
        if role == search.main:
            over = np.clip(answer, *MAIN_RANGE) - MAIN_NEUTRAL
            odds += np.where(over < 0, MAIN_SLOPES[0], MAIN_SLOPES[1]) * over
            continue
        if fluid and role == "mr-dwi":
            continue
        typical = _typical(search, role)
        neutral = np.clip(0.5 * typical * gain, *NEUTRAL_RANGE) + SHIFT_GAIN
        odds += ANSWER_SLOPE[role] * np.clip(answer - neutral, *ANSWER_RANGE)
        odds += CENTRE_SLOPE.get(role, 0.0) * np.clip(evidence.centre[role], *CENTRE_RANGE)
        if role == "mr-t2" and not fluid:
            excess = answer - BEYOND_TYPICAL * typical * gain - EXCESS_FROM
            odds += EXCESS_SLOPE * np.clip(excess, 0.0, EXCESS_MOST)
    odds += THROUGH_SLOPE * evidence.through + ALONG_SLOPE * evidence.along
    odds += BLOB_SLOPE * np.clip(evidence.blobness, *BLOB_RANGE)
    return np.asarray(odds + EDGE_SLOPE * np.clip(EDGE_MM - evidence.depth_mm, 0.0, EDGE_MOST))


def _typical(search: SmallSearch, role: str) -> float:
    """The contrast that a metastasis typically has against this liver: against a darkened one it is larger."""
    dark = search.sequences[role].darkness if role in search.sequences else 1.0
    return TYPICAL[role] if dark == 1.0 else (1.0 + TYPICAL[role]) / dark - 1.0


def with_shape(log_odds: float, shape_log_odds: float) -> float:
    """A small focus' log-odds with what the shape and place of its region add, and the worth of what agrees."""
    odds = log_odds + SHAPE_SHARE * max(shape_log_odds, SHAPE_LEAST)
    return odds + SURE_SLOPE * max(odds - SURE_FROM, 0.0)


def small_foci(search: SmallSearch, least_log_odds: float) -> list[tuple[SequencePeak, float]]:
    """Small foci with their log-odds, those over ``least_log_odds``, most likely first; ``z`` is the main answer."""
    lead = search.sequences[search.main]
    found = _apart(_peaks(search), lead.grid.spacing)
    if not found:
        return []
    lps = np.asarray(lead.grid.to_world(np.array([at for _, _, at in found], dtype=np.float64)))
    evidence = small_evidence(search, lps, np.array([n for _, n, _ in found]))
    odds, own = small_log_odds(search, evidence), evidence.answer[search.main]
    order = [int(n) for n in np.argsort(-odds, kind="stable") if odds[n] > least_log_odds]
    return [
        (
            SequencePeak(search.main, lps[n], SMALL_MM[found[n][1]], float(own[n]), float(evidence.blobness[n])),
            float(odds[n]),
        )
        for n in order
    ]
