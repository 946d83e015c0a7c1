"""Find focal liver lesions on MR: blobs by weakest curvature in every sequence, fused, benign ones told
apart.

Each sequence proposes peaks on its own grid; peaks of one place become one focus; every sequence then
testifies at every focus (allowing a few mm of residual shift). The confidence adds the log-likelihood ratios
that the sequences, the focus' shape (vessels, ducts) and its place (capsule, leaks) give. Cysts and
haemangiomas are named with the reason.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import Refusal
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Candidate, Detection, Nature
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.segment.mr_bile import BESIDE_BILE, BESIDE_BILE_SHARE, lies_beside_bile
from liverpair.segment.mr_calibration import calibrated
from liverpair.segment.mr_evidence import Sequence, SequencePeak, sequence_peaks
from liverpair.segment.mr_joint import DISTORTED_MM, SHIFT_MM
from liverpair.segment.mr_kind import judge_small, kind_of
from liverpair.segment.mr_nature import Testimony, confidence_of, has_living_rim, testimony
from liverpair.segment.mr_parting import Claim, part_kinds
from liverpair.segment.mr_prepare import MAIN_ROLES, MOSTLY_BEYOND, Prepared, prepare_examination
from liverpair.segment.mr_regions import DOUBTED_LOG_ODDS, MrRegion, paint_order, paint_regions, region_of
from liverpair.segment.mr_settings import MrDetectionSettings
from liverpair.segment.mr_small import (
    SmallSearch,
    prepare_search,
    small_foci,
    with_shape,
)

__all__ = ["MAIN_ROLES", "MrDetectionSettings", "detect_mr"]

#: Roles that may propose foci. ADC is a quotient of noisy images: it testifies, it does not propose unless
#: alone.
PROPOSING = ("mr-hbp", "mr-dwi", "mr-t2", "mr-portal", "mr-t1-native", "mr-arterial")

#: A ball answers best to a scale up to 1.4 times smaller than itself, so its edge lies at 0.5-0.7 scale
#: diameters.
REACH = 0.65
#: Log-odds from which a small focus is looked at: one in twenty; its shape may still speak for or against it.
SMALL_LOG_ODDS = -3.0

#: A response (SDs) that is neither noise nor a vessel: such a peak may show the whole of what another shows the core.
CLEAR_Z = 8.0
#: Where shape or place speak against a focus' region, a sequence with a peak of its own from this response (SDs) on is
#: asked: a neighbour or vessel is joined to it in every sequence that shows it, a lesion comes free in one.
OWN_Z = 4.0
#: A peak whose scale is larger by this than the lead's shows more than what led.
LARGER = 1.4
#: A small focus' log-odds are worth more than they say: a logistic recalibration over 24 examinations of three
#: simulators (ten of them in no fit) gave 1.55 ± 0.32; 9 foci promised 0.2-0.5 had kept none, 13 at 0.5-0.9 eleven.
SHARPER = 1.5
#: What lies mostly beyond the liver's mask may be another organ's, however it looks: all of the 13 parts that mr_beyond
#: found in 57 examinations were lesions, which leaves one in fifteen; bowel and nodes no simulator has double it.
BEYOND, BEYOND_SHARE = "beyond_liver_mask", 0.87
#: What a flag leaves of the confidence.
SHARES = {BEYOND: BEYOND_SHARE, BESIDE_BILE: BESIDE_BILE_SHARE}
#: Foci as likely as this are parted from neighbours of another nature.
LIKELY = 0.5


def detect_mr(
    images: Mapping[str, Volume],
    liver: Mask,
    settings: MrDetectionSettings | None = None,
) -> Detection:
    """Detect and delineate lesions over the sequences of one examination.

    ``images`` maps roles ("mr-hbp", "mr-t2", "mr-dwi", "mr-adc", ...) to volumes in one frame, each on its
    own grid; any subset works. ``liver`` may be on any grid of that frame. The label map is on the grid of
    the first of MAIN_ROLES that covers the liver (of T2 where iron has darkened it). Candidates are numbered by
    falling confidence; centres LPS mm.
    Raises Refusal without a usable sequence, or for an empty liver.
    """
    settings = settings or MrDetectionSettings()
    if liver.is_empty:
        raise Refusal("empty_mask", "the liver mask is empty, so there is nowhere to search; give a liver mask")
    if not any(role in images for role in MAIN_ROLES):
        raise Refusal("no_sequence", f"none of {', '.join(MAIN_ROLES)} was given; classify the series first")
    prepared = prepare_examination(images, liver, settings)
    sequences = prepared.sequences
    if not sequences:
        raise Refusal("liver_not_covered", "no MR sequence covers the liver mask; check the frames of reference")
    search = prepare_search(sequences)
    peaks = _propose(sequences, search, settings)
    foci = _foci(sequences, peaks, settings)
    main = next(iter(sequences))
    grid = images[main].grid
    judged = _judge(sequences, search, foci, settings)
    labels, candidates = _report(prepared, judged, grid, settings)
    facts = {
        "main_role": main,
        "roles": list(sequences),
        "proposals": len(peaks),
        "foci": len(foci),
        "diameters_mm": list(settings.diameters_mm),
        "threshold_z": settings.threshold_z,
        "beyond_liver_mask_ml": 0.0 if prepared.beyond is None else prepared.beyond.volume_ml,
        "noise": {role: sequence.noise for role, sequence in sequences.items()},
        "liver_darkness": min(sequence.darkness for sequence in sequences.values()),
    }
    return Detection(LabelMap(labels, grid), candidates, facts)


def _propose(sequences: dict[str, Sequence], search: SmallSearch, settings: MrDetectionSettings) -> list[SequencePeak]:
    """Peaks of all proposing sequences, one per place and sequence, strongest first, then likely small foci."""
    proposing = [role for role in sequences if role in PROPOSING] or list(sequences)
    found: list[SequencePeak] = []
    for role in proposing:
        peaks = sequence_peaks(sequences[role], settings.threshold_z, settings.blobness)
        peaks.sort(key=lambda peak: -peak.z)
        found.extend(_one_per_place(peaks[: settings.most_foci * 3]))
    found.sort(key=lambda peak: -peak.z)
    small = [peak for peak, _ in small_foci(search, SMALL_LOG_ODDS)[: settings.most_foci]]
    return _with_small(found[: settings.most_foci], small)


def _with_small(peaks: list[SequencePeak], small: list[SequencePeak]) -> list[SequencePeak]:
    """Add the small foci that are not part of what a curvature proposed already."""
    return peaks + [
        one
        for one in small
        if all(
            float(np.linalg.norm(one.lps - other.lps)) >= REACH * max(one.diameter_mm, other.diameter_mm)
            for other in peaks
        )
    ]


def _one_per_place(peaks: list[SequencePeak]) -> list[SequencePeak]:
    """Keep the strongest scale of each place: a weaker peak within REACH diameters of a kept one is part of
    it.
    """
    kept: list[SequencePeak] = []
    for peak in peaks:
        gaps = (
            float(np.linalg.norm(peak.lps - other.lps)) / max(peak.diameter_mm, other.diameter_mm) for other in kept
        )
        if all(gap >= REACH for gap in gaps):
            kept.append(peak)
    return kept


@dataclass(frozen=True, slots=True, eq=False)
class _Focus:
    """Peaks of one place over the sequences; the strongest leads."""

    lead: SequencePeak
    peaks: tuple[SequencePeak, ...]


def _foci(sequences: dict[str, Sequence], peaks: list[SequencePeak], settings: MrDetectionSettings) -> list[_Focus]:
    """Group peaks of different sequences that lie within the shift or half a diameter of one another."""
    groups: list[list[SequencePeak]] = []
    for peak in peaks:
        home = None
        for group in groups:
            gap = float(np.linalg.norm(peak.lps - group[0].lps))
            distorted = DISTORTED_MM / SHIFT_MM if "mr-dwi" in (peak.role, group[0].role) else 1.0
            reach = max(settings.shift_mm * distorted, 0.5 * max(peak.diameter_mm, group[0].diameter_mm))
            if gap < reach and all(peak.role != other.role for other in group):
                home = group
                break
        if home is None:
            groups.append([peak])
        else:
            home.append(peak)
    order = list(sequences)
    foci = []
    for group in groups:
        # The main sequence gives the place where it sees the focus nearly as well: it has the finest voxels; or where
        # it clearly shows a whole, of which another's peak is the core (fluid in a necrotic metastasis).
        strongest = max(group, key=lambda p: p.z)
        leads = [p for p in group if p.z >= 0.5 * strongest.z]
        leads += [p for p in group if p.role == order[0] and p.z >= CLEAR_Z and p.diameter_mm >= strongest.diameter_mm]
        lead = min(leads, key=lambda p: order.index(p.role))
        foci.append(_Focus(_whole(sequences, lead, group), tuple(group)))
    return foci


def _whole(sequences: dict[str, Sequence], lead: SequencePeak, group: list[SequencePeak]) -> SequencePeak:
    """The peak that shows the whole of a lesion whose core of fluid led, else the lead.

    Diffusion weighting proves it: at the larger peak's size, and not at the lead's, it shows a living rim.
    """
    dwi = sequences.get("mr-dwi")
    if has_living_rim(dwi, lead):
        return lead
    larger = [p for p in group if p.diameter_mm >= LARGER * lead.diameter_mm and p.z >= OWN_Z]
    rimmed = [p for p in larger if has_living_rim(dwi, p, sequences.get("mr-t2"))]
    return max(rimmed, key=lambda p: p.z, default=lead)


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    focus: _Focus
    evidence: Testimony
    region: NDArray[np.bool_] | None
    nature: Nature
    reason: str
    confidence: float
    share: float
    small: float | None

    @property
    def uncertain(self) -> bool:
        """Whether it is called a metastasis with a reason to doubt that."""
        return self.nature is Nature.METASTASIS and bool(self.reason)


def _judge(
    sequences: dict[str, Sequence], search: SmallSearch, foci: list[_Focus], settings: MrDetectionSettings
) -> list[_Judged]:
    judged = []
    small = judge_small(search, [focus.lead for focus in foci])
    for number, focus in enumerate(foci):
        evidence = testimony(sequences, focus.lead, settings.shift_mm)
        kind = kind_of(sequences, focus.lead, evidence, small.get(number))
        first = confidence_of(sequences, focus.lead, evidence, kind.nature)
        cells = small[number].cells if number in small and kind.nature is Nature.METASTASIS else None
        if cells is not None:
            first = 1.0 / (1.0 + math.exp(-with_shape(cells, 0.0)))
        elif number in small:
            first = min(first, 1.0 / (1.0 + math.exp(-small[number].fluid)))
        if first < settings.confidence_floor:
            continue
        judged.append(_Judged(focus, evidence, None, kind.nature, kind.reason, first, kind.share, cells))
    judged.sort(key=lambda item: -item.confidence)
    return judged


def _report(
    prepared: Prepared,
    judged: list[_Judged],
    grid: Grid,
    settings: MrDetectionSettings,
) -> tuple[NDArray[np.uint16], tuple[Candidate, ...]]:
    """Delineate, drop what the shape or the place unmasks, and number what is left by falling confidence."""
    regions, kept = [], []
    for item in judged:
        region = _region(prepared.sequences, item.focus, grid)
        if region is None:
            continue
        confidence = 1 / (1 + math.exp(-_with_region(item, region)))
        benign = item.nature is not Nature.METASTASIS
        if calibrated(confidence) < (settings.benign_floor if benign else settings.confidence_floor):
            continue
        kept.append((confidence, item))
        regions.append(region)
    regions = _parted_regions(kept, regions, grid)
    order = paint_order([confidence for confidence, _ in kept], regions)
    labels, survivors = paint_regions(grid.shape, grid, [regions[n] for n in order])
    centres = _centroids(labels)
    beyond = _label_shares(labels, prepared.left_out(grid))
    candidates: list[Candidate] = []
    for place in survivors:
        confidence, item = kept[order[place]]
        flags = _flags(item, regions[order[place]], beyond[survivors[place] - 1])
        centre = grid.to_world(centres[survivors[place] - 1])
        metastasis = item.nature is Nature.METASTASIS
        if metastasis and lies_beside_bile(prepared.sequences, centre, item.focus.lead.diameter_mm):
            flags = (*flags, BESIDE_BILE)
        candidates.append(
            Candidate(
                label=survivors[place],
                centre_lps=centre,
                z=max(item.evidence.z.values()),
                confidence=calibrated(confidence) * item.share * math.prod(SHARES.get(flag, 1.0) for flag in flags),
                nature=item.nature,
                flags=flags,
                reason=item.reason,
            )
        )
    candidates.sort(key=lambda candidate: (-candidate.confidence, candidate.label))
    renumbered = np.zeros(len(candidates) + 1, dtype=np.uint16)
    for number, candidate in enumerate(candidates, start=1):
        renumbered[candidate.label] = number
    numbered = (replace(candidate, label=n) for n, candidate in enumerate(candidates, start=1))
    return renumbered[labels], tuple(numbered)


def _flags(item: _Judged, region: MrRegion, beyond: float) -> tuple[str, ...]:
    added = ("uncertain_nature",) if item.uncertain else ()
    return (*region.flags, *added, *((BEYOND,) if beyond > MOSTLY_BEYOND else ()))


def _parted_regions(kept: list[tuple[float, _Judged]], regions: list[MrRegion], grid: Grid) -> list[MrRegion]:
    """The regions, those of likely neighbours of different natures parted from one another."""
    likely = [n for n, (confidence, _) in enumerate(kept) if confidence >= LIKELY]
    leads = [item.focus.lead for _, item in kept]
    claims = [Claim(regions[n], leads[n].lps, leads[n].diameter_mm, kept[n][1].nature.value) for n in likely]
    parted = dict(zip(likely, part_kinds(claims, grid), strict=True))
    return [parted.get(n, region) for n, region in enumerate(regions)]


def _region(sequences: dict[str, Sequence], focus: _Focus, grid: Grid) -> MrRegion | None:
    """The lead's region; where its form or the liver's border speaks against it, the least doubted one of the sequences
    that show the focus, too.
    """
    best = region_of(sequences[focus.lead.role], grid, focus.lead)
    if best is not None and (best.log_odds >= DOUBTED_LOG_ODDS or not best.flags):
        return best
    for peak in focus.peaks:
        if peak is focus.lead or peak.z < OWN_Z or peak.role == "mr-adc":
            continue
        region = region_of(sequences[peak.role], grid, peak)
        if region is not None and (best is None or region.log_odds > best.log_odds):
            best = region
    return best


def _with_region(item: _Judged, region: MrRegion) -> float:
    """Log-odds of a focus with what its region's shape and place say."""
    if item.small is not None:
        return SHARPER * with_shape(item.small, region.log_odds)
    return math.log(max(item.confidence, 1e-9) / max(1 - item.confidence, 1e-9)) + region.log_odds


def _label_shares(labels: NDArray[np.uint16], part: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share (n,) of labels 1..n that lies in ``part``."""
    all_of = np.bincount(labels.ravel())[1:]
    return np.asarray(np.bincount(labels[part], minlength=len(all_of) + 1)[1:] / np.maximum(all_of, 1))


def _centroids(labels: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Mean index (n, 3) of labels 1..n."""
    index = np.argwhere(labels > 0)
    if len(index) == 0:
        return np.zeros((0, 3))
    numbers = labels[labels > 0].astype(np.int64)
    counts = np.maximum(np.bincount(numbers)[1:], 1)
    return np.stack([np.bincount(numbers, weights=index[:, a])[1:] / counts for a in range(3)], axis=1)
