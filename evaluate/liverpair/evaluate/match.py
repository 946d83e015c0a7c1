"""Which PET focus and which MRI lesion are the same: one-to-one within a gate that knows the error.

Distances are measured in the PET/CT frame (LPS, z = cranio-caudal) with z shrunk by the cranio-caudal
stretch, because free-breathing PET blurs and shifts along it. A pair may match when that distance is within
max(10 mm, ½(D_PET + D_MRI)) + the registration's local uncertainty. Among all allowed pairs the assignment
that maximises Σ(1 − distance/gate) is taken; what is left over is tried as a merge (several MRI lesions in
one PET focus) or a split (several PET foci in one MRI lesion), which are recorded as such and explained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.lesion import Lesion, Modality, Nature

__all__ = ["MatchLink", "MatchReport", "MatchSettings", "lesion_diameter_mm", "match_lesions"]

VERDICTS = ("usable", "rigid_only", "failed")


@dataclass(frozen=True, slots=True)
class MatchSettings:
    """``least_gate_mm``: no gate is narrower, for breathing. ``cranio_caudal_stretch``: the gate along z over
    that in the plane (measured breathing asymmetry 1.5–2×). ``least_unregistered_mm``: without a full
    registration smaller MRI lesions are never matched. ``largest_uncertainty_mm`` caps what a bad
    registration may add to a gate."""

    least_gate_mm: float = 10.0
    cranio_caudal_stretch: float = 1.75
    least_unregistered_mm: float = 15.0
    largest_uncertainty_mm: float = 15.0

    def __post_init__(self) -> None:
        if self.least_gate_mm <= 0 or self.cranio_caudal_stretch < 1 or self.largest_uncertainty_mm < 0:
            raise ConfigError("matching needs a positive gate, a stretch of at least 1 and an uncertainty cap ≥ 0")


@dataclass(frozen=True, slots=True)
class MatchLink:
    """One accepted link: one_to_one | merged | split | benign_on_mr; ``distance_mm`` is Euclidean."""

    pet_id: str
    mr_id: str
    kind: str
    distance_mm: float
    gate_mm: float
    explanation: str


@dataclass(frozen=True, slots=True, eq=False)
class MatchReport:
    """All lesions with their matches filled in (input order), the links, and what was left and why."""

    lesions: tuple[Lesion, ...]
    links: tuple[MatchLink, ...]
    unmatched: tuple[tuple[str, str], ...]


def lesion_diameter_mm(lesion: Lesion) -> float:
    """The lesion's best single diameter in mm; 0 where nothing was measured."""
    m = lesion.measurement
    for value in (m.diameter_mm, m.equivalent_diameter_mm, m.long_axis_mm):
        if value is not None and np.isfinite(value) and value > 0:
            return float(value)
    return 0.0


def _offset(pet: Lesion, mr: Lesion) -> NDArray[np.float64]:
    """PET minus MR centre, LPS mm (3,), in the PET/CT frame."""
    place = pet.native_lps if pet.centre_lps is None else pet.centre_lps
    assert mr.centre_lps is not None  # callers pass placeable lesions only
    return np.asarray(place, dtype=np.float64) - np.asarray(mr.centre_lps, dtype=np.float64)


def _gated(offset: NDArray[np.float64], settings: MatchSettings) -> float:
    """Length of an offset with its cranio-caudal part shrunk by the stretch."""
    return float(np.linalg.norm(offset / np.array([1.0, 1.0, settings.cranio_caudal_stretch])))


def _uncertainty(mr: Lesion, settings: MatchSettings) -> float:
    return min(max(float(mr.uncertainty_mm or 0.0), 0.0), settings.largest_uncertainty_mm)


def _gate(pet: Lesion, mr: Lesion, settings: MatchSettings) -> float:
    half = (lesion_diameter_mm(pet) + lesion_diameter_mm(mr)) / 2
    return max(settings.least_gate_mm, half) + _uncertainty(mr, settings)


def _why_unplaced(mr: Lesion, verdict: str, settings: MatchSettings) -> str:
    """Why an MR lesion may not be matched at all; "" where it may."""
    if verdict == "failed" or mr.centre_lps is None:
        return "no valid registration: its place in the PET is unknown"
    if verdict == "rigid_only" and lesion_diameter_mm(mr) < settings.least_unregistered_mm:
        return f"doubtful registration, and smaller than {settings.least_unregistered_mm:g} mm"
    return ""


def _assign(pet: Sequence[Lesion], mr: Sequence[Lesion], kind: str, settings: MatchSettings) -> list[MatchLink]:
    """Optimal one-to-one links within the gates."""
    from scipy.optimize import linear_sum_assignment  # half a second, which settings and bare tables do not need

    if not pet or not mr:
        return []
    gate = np.array([[_gate(p, m, settings) for m in mr] for p in pet])
    far = np.array([[_gated(_offset(p, m), settings) for m in mr] for p in pet])
    gain = np.where(far <= gate, 1.0 - far / gate + 1e-9, 0.0)  # at the gate itself a match still beats none
    rows, columns = linear_sum_assignment(gain, maximize=True)
    links = []
    for i, j in zip(rows, columns, strict=True):
        if gain[i, j] > 0:
            distance = float(np.linalg.norm(_offset(pet[i], mr[j])))
            said = f"{distance:.1f} mm apart, gate {gate[i, j]:.1f} mm"
            links.append(MatchLink(pet[i].lesion_id, mr[j].lesion_id, kind, distance, float(gate[i, j]), said))
    return links


def _attach(
    loose: Sequence[Lesion], taken: Sequence[tuple[Lesion, Lesion]], kind: str, settings: MatchSettings
) -> list[MatchLink]:
    """Link leftovers to a matched partner whose own extent (half its diameter + uncertainty) holds them.

    ``taken`` holds (PET, MR) pairs already linked; for "merged" the leftovers are MR lesions inside a PET
    focus, for "split" PET foci inside an MR lesion.
    """
    links = []
    for lesion in loose:
        best: tuple[float, MatchLink] | None = None
        for pet, mr in taken:
            whole = pet if kind == "merged" else mr
            one, other = (pet, lesion) if kind == "merged" else (lesion, mr)
            reach = lesion_diameter_mm(whole) / 2 + _uncertainty(other, settings)
            offset = _offset(one, other)
            share = _gated(offset, settings) / reach if reach > 0 else np.inf
            if share <= 1 and (best is None or share < best[0]):
                distance = float(np.linalg.norm(offset))
                said = (
                    f"inside the PET focus {pet.lesion_id}, which also covers {mr.lesion_id}: one to PET"
                    if kind == "merged"
                    else f"inside the MRI lesion {mr.lesion_id}, which PET shows as several foci"
                )
                best = share, MatchLink(one.lesion_id, other.lesion_id, kind, distance, reach, said)
        if best is not None:
            links.append(best[1])
    return links


def _filled(lesion: Lesion, links: Sequence[MatchLink]) -> Lesion:
    """The lesion with its partners (nearest first), its distance, and flags for merges and splits."""
    is_pet = lesion.modality is Modality.PET
    own = [k for k in links if (k.pet_id if is_pet else k.mr_id) == lesion.lesion_id]
    if not own:
        return replace(lesion, matched=(), match_distance_mm=None)
    own.sort(key=lambda k: (k.kind != "one_to_one", k.distance_mm))
    partners = tuple(k.mr_id if is_pet else k.pet_id for k in own)
    kinds = tuple(dict.fromkeys(k.kind for k in own if k.kind != "one_to_one" and k.kind not in lesion.flags))
    return replace(lesion, matched=partners, match_distance_mm=own[0].distance_mm, flags=(*lesion.flags, *kinds))


def _alone(lesion: Lesion, others: Sequence[Lesion], settings: MatchSettings) -> str:
    """Why a placeable lesion stayed alone: how far the nearest focus of the other examination is."""
    if not others:
        return "the other examination shows no focus"
    is_pet = lesion.modality is Modality.PET
    offsets = [_offset(lesion, o) if is_pet else _offset(o, lesion) for o in others]
    near = int(np.argmin([_gated(o, settings) for o in offsets]))
    return f"nearest focus {others[near].lesion_id} is {np.linalg.norm(offsets[near]):.1f} mm away"


def match_lesions(
    pet: Sequence[Lesion],
    mr: Sequence[Lesion],
    verdict: str = "usable",
    settings: MatchSettings | None = None,
) -> MatchReport:
    """Match PET foci to MRI lesions; ``verdict`` is the registration's: usable | rigid_only | failed.

    MR lesions need ``centre_lps`` in the PET/CT frame; one without is left unmatched. Benign MR lesions are
    tried last, with what metastases left, and such a link is flagged: an avid focus contradicts "benign".
    """
    settings = settings or MatchSettings()
    if verdict not in VERDICTS:
        raise UsageError(f"a registration's verdict is one of {', '.join(VERDICTS)}, got {verdict!r}")
    lesions = (*pet, *mr)
    by_id = {x.lesion_id: x for x in lesions}
    if len(by_id) != len(lesions):
        raise UsageError("lesion_ids repeat; every lesion of a pair needs its own")
    unplaced = {m.lesion_id: _why_unplaced(m, verdict, settings) for m in mr}
    placed = [m for m in mr if not unplaced[m.lesion_id]]
    suspect = [m for m in placed if m.nature is Nature.METASTASIS]
    links = _assign(pet, suspect, "one_to_one", settings)
    taken = [(by_id[k.pet_id], by_id[k.mr_id]) for k in links]
    links += _attach([m for m in suspect if m.lesion_id not in {k.mr_id for k in links}], taken, "merged", settings)
    links += _attach([p for p in pet if p.lesion_id not in {k.pet_id for k in links}], taken, "split", settings)
    left = [p for p in pet if p.lesion_id not in {k.pet_id for k in links}]
    links += _assign(left, [m for m in placed if m.nature is not Nature.METASTASIS], "benign_on_mr", settings)
    matched = {k.pet_id for k in links} | {k.mr_id for k in links}
    alone = []
    for lesion in lesions:
        if lesion.lesion_id not in matched:
            others = placed if lesion.modality is Modality.PET else list(pet)
            why = unplaced.get(lesion.lesion_id, "") or _alone(lesion, others, settings)
            alone.append((lesion.lesion_id, why))
    return MatchReport(tuple(_filled(x, links) for x in lesions), tuple(links), tuple(alone))
