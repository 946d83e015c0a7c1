"""Lesions beside peers and the ideal observer, on the same simulated volumes: found, false, sizes, promises, cost.

python -m benchmarks.lesions [SEED...] [--quick] [--small LIVERS] [--insertions LIVERS] [--confidence LIVERS]

--small adds livers with twelve metastases of 3-6 mm each, on which only our detectors run. With --insertions only the
promise P(detect) is tested, on that many livers of noise and a tenth as many simulated pairs; with --confidence only
that of MRI candidates, over that many livers of either kind joined, since one liver has few candidates that are not
certain.

Every detector searches the same images inside the same (true) liver masks. A focus within half the lesion's diameter or
6 mm of a true lesion has found it; one that is near none is false; one at a cyst or haemangioma counts for neither. The
peers' and the ideal observer's thresholds are put where they give as many false foci a pair as the table says.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from liverpair.core.lesion import Candidate, Detection, Nature, ReferenceRegion
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.detectability import Scanner, detection_margin, p_detect
from liverpair.evaluate.measure import measure_mr_lesions
from liverpair.evaluate.shape import caliper, mesh_of, mesh_volume
from liverpair.register.resample import resample_mask
from liverpair.segment.mr_lesions import MrDetectionSettings, detect_mr
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference
from liverpair.segment.scale_space import local_background, robust_sd
from liverpair.simulate import SimulatedPair, TrueLesion, simulate_pair
from numpy.typing import NDArray

from benchmarks._lesion_calibration import print_left_out
from benchmarks._lesion_insertions import insertion_trials, pair_trials
from benchmarks._lesion_peers import PEERS, Found, Scene, levels, matched_filter
from benchmarks._lesion_small import detection_cost, small_pair
from benchmarks._lesion_tables import Curve, print_curves, print_reliability, print_sizes
from benchmarks._lesion_truth import true_sizes

#: Seeds that no setting was chosen on.
SEEDS: Final = (501, 502, 503, 504)
#: False foci a pair that the issue allows.
MR_FALSE, PET_FALSE = 1.0, 0.25
#: A focus this near to a lesion's centre (or within half its diameter) is that lesion's.
REACH_MM: Final = 6.0
#: Uptake ratio from which a lesion is one that PET should show.
AVID: Final = 1.3
#: Even unlikely candidates are listed here, so that the reliability curve begins near 0.
LISTING: Final = MrDetectionSettings(confidence_floor=0.05)
#: The simulator's PET noise is white noise behind this post-filter.
PET_NOISE_FWHM_MM: Final = 5.0


@dataclass
class Book:
    """All that is measured, over all pairs."""

    mr: dict[str, Curve] = field(default_factory=dict)
    pet: dict[str, Curve] = field(default_factory=dict)
    sizes: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    predicted: list[tuple[float, bool]] = field(default_factory=list)
    confidence: list[tuple[float, bool]] = field(default_factory=list)
    called: list[tuple[str, str]] = field(default_factory=list)
    cost: list[tuple[float, float, float]] = field(default_factory=list)


def _assign(lps: NDArray[np.float64], truth: Sequence[TrueLesion], modality: str) -> TrueLesion | None:
    """The true lesion that a focus belongs to, the nearest in units of its reach."""
    best: tuple[float, TrueLesion] | None = None
    for lesion in truth:
        place = lesion.mr_lps if modality == "mr" else lesion.pet_lps
        gap = float(np.linalg.norm(lps - place)) / max(REACH_MM, lesion.diameter_mm / 2)
        if gap <= 1.0 and (best is None or gap < best[0]):
            best = gap, lesion
    return best[1] if best else None


def _enter(
    curve: Curve, scored: Sequence[tuple[NDArray[np.float64], float]], pair: SimulatedPair, modality: str
) -> None:
    """Add one pair's foci (LPS, score) to a curve; foci at benign lesions are left out."""
    wanted = [x for x in pair.lesions if _wanted(x, modality)]
    rows = []
    for lps, score in scored:
        lesion = _assign(lps, pair.lesions, modality)
        number = -1 if lesion is None else wanted.index(lesion) if lesion in wanted else -2
        rows.append((score, number))
    curve.pairs.append(rows)
    curve.truth.append(wanted)


def _wanted(lesion: TrueLesion, modality: str) -> bool:
    if modality == "mr":
        return lesion.nature == "metastasis"
    return lesion.nature in ("metastasis", "inflammation") and lesion.tlr >= AVID


def _scene(values: NDArray[np.float32], liver: NDArray[np.bool_], image: Volume, sign: int) -> Scene:
    """Contrast to the local background in SDs of the liver's noise, 0 outside the liver."""
    background = local_background(values, liver, image.grid.spacing, 20.0)
    contrast = np.where(liver, sign * (values / np.maximum(background, 1e-6) - 1), 0)
    _, sd = robust_sd(contrast[liver])
    return Scene((contrast / max(sd, 1e-9)).astype(np.float32), liver, image.grid.spacing)


def _crop(image: Volume, liver: Mask) -> tuple[Volume, Mask]:
    start, stop = liver.bounds(12.0)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    local = image.cropped(start, stop)
    return local, Mask(np.ascontiguousarray(liver.values[window]), local.grid)


def _run(
    curves: dict[str, Curve], name: str, pair: SimulatedPair, modality: str, image: Volume, work: Callable[[], Found]
) -> None:
    """Time one peer and enter its foci."""
    curve = curves.setdefault(name, Curve())
    started = time.process_time()
    found = work()
    curve.cpu_s.append(time.process_time() - started)
    _enter(curve, [(image.grid.to_world(at), score) for at, score in found], pair, modality)


def _ours(curves: dict[str, Curve], pair: SimulatedPair, modality: str, work: Callable[[], Detection]) -> Detection:
    curve = curves.setdefault("liverpair", Curve())
    started = time.process_time()
    detection = work()
    curve.cpu_s.append(time.process_time() - started)
    foci = [c for c in detection.candidates if c.nature is Nature.METASTASIS]
    _enter(curve, [(c.centre_lps, c.confidence) for c in foci], pair, modality)
    return detection


def _magnetic(pair: SimulatedPair, book: Book, peers: bool) -> None:
    """One pair's MRI: ours on all sequences, the peers and the bound on the hepatobiliary phase."""
    detection = _ours(book.mr, pair, "mr", lambda: detect_mr(pair.mr, pair.mr_liver, LISTING))
    for candidate in detection.candidates:
        lesion = _assign(candidate.centre_lps, pair.lesions, "mr")
        book.called.append((lesion.nature if lesion else "nothing", candidate.nature.value))
        if candidate.nature is Nature.METASTASIS:
            book.confidence.append((candidate.confidence, lesion is not None and lesion.nature == "metastasis"))
    hbp = pair.mr["mr-hbp"]
    _sizes(pair, hbp, detection, book)
    if not peers:
        return
    image, liver = _crop(hbp, pair.mr_liver)
    scene = _scene(image.values, liver.values, image, -1)
    for name, peer in PEERS.items():
        _run(book.mr, name, pair, "mr", image, lambda peer=peer: peer(scene))  # type: ignore[misc]  # a bound default
    blur = 1.2 * image.grid.spacing  # a sinc's width in acquired voxels (measure.py)
    _run(book.mr, "matched filter", pair, "mr", image, lambda: matched_filter(scene, blur, 0.0))


def _sizes(pair: SimulatedPair, image: Volume, detection: Detection, book: Book) -> None:
    """Diameters of the metastases found, by our measures and by the mask's alone."""
    natures = {c.label: c.nature.value for c in detection.candidates}
    measured = measure_mr_lesions(image, detection.labels, alike=natures)
    best: dict[str, tuple[Candidate, TrueLesion]] = {}
    for candidate in detection.candidates:
        lesion = _assign(candidate.centre_lps, pair.lesions, "mr")
        if lesion is not None and lesion.lesion_id not in best and candidate.label in measured:
            best[lesion.lesion_id] = candidate, lesion
    for candidate, lesion in best.values():
        ours = measured[candidate.label]
        vertices, triangles = mesh_of(detection.labels.mask(candidate.label).values, image.grid.spacing)
        true = true_sizes(pair, lesion)
        rows = {  # each beside what it measures of the true shape; ours is the fitted ball's, or the 50 % contour's
            "liverpair sphere": (ours.equivalent_diameter_mm, true.sphere_mm),
            "liverpair long axis": (ours.long_axis_mm, true.axial_mm),
            "mask Feret": (caliper(vertices), true.feret_mm),
            "mesh sphere": ((6.0 * abs(mesh_volume(vertices, triangles)) / np.pi) ** (1 / 3), true.sphere_mm),
        }
        book.sizes.append((lesion.diameter_mm, {k: v - t for k, (v, t) in rows.items() if v is not None}))


def _emission(pair: SimulatedPair, book: Book, peers: bool) -> None:
    """One pair's PET: ours, the peers, the levels and the bound, and what was predicted of each lesion."""
    liver = resample_mask(pair.ct_liver, pair.pet.grid)
    reference = liver_reference(pair.pet, liver)
    detection = _ours(book.pet, pair, "pet", lambda: detect_pet(pair.pet, liver, reference))
    _predict(pair, reference, detection, book)
    if not peers:
        return
    image, local = _crop(pair.pet, liver)
    scene = _scene(image.values, local.values, image, 1)
    for name, peer in PEERS.items():
        _run(book.pet, name, pair, "pet", image, lambda peer=peer: peer(scene))  # type: ignore[misc]  # a bound default
    inside = image.values[local.values]
    for name, level in (
        ("41 % of maximum", 0.41 * float(inside.max())),
        ("PERCIST-like", 1.5 * reference.mean + 2 * reference.sd),
    ):
        _run(book.pet, name, pair, "pet", image, lambda level=level: levels(image.values, local.values, level))  # type: ignore[misc]  # a bound default
    wide = np.hypot(pair.pet_fwhm_mm, image.grid.spacing / 12**0.5 * 2.3548)
    wide[2] = np.hypot(wide[2], 0.35 * pair.pet_respiration_mm * 2.3548)  # SD of a cos⁴ course: 0.35 of its range
    _run(
        book.pet, "ideal observer", pair, "pet", image, lambda: matched_filter(scene, wide, PET_NOISE_FWHM_MM)
    )  # fmt: skip


def _predict(pair: SimulatedPair, reference: ReferenceRegion, detection: Detection, book: Book) -> None:
    """P(detect) of every lesion from its true diameter and uptake, and whether PET did show it."""
    facts = detection.facts
    scanner = Scanner(
        pair.pet_fwhm_mm, reference.cov, facts["threshold_z"], "simulation",
        float(np.sqrt(np.mean(pair.pet.grid.spacing**2))), pair.pet_respiration_mm, facts["noise_fwhm_mm"],
        facts["search_fwhm_mm"][1:], facts["search_cov"], facts["search_skew"],
        facts["place_noise"], facts["place_spread"], facts["background_sigma_mm"],
    )  # fmt: skip
    seen = {x.lesion_id for c in detection.candidates if (x := _assign(c.centre_lps, pair.lesions, "pet")) is not None}
    for lesion in pair.lesions:
        if lesion.nature == "metastasis" and lesion.tlr > 1:
            p = p_detect(detection_margin(lesion.tlr, lesion.diameter_mm, scanner), 0.0)
            book.predicted.append((p, lesion.lesion_id in seen))


def measure(seeds: Sequence[int], peers: bool = True) -> Book:
    """Run everything on every pair."""
    book = Book()
    for seed in seeds:
        pair = simulate_pair(seed)
        _magnetic(pair, book, peers)
        _emission(pair, book, peers)
        book.cost.append(detection_cost(pair))
    return book


def measure_confidence(seeds: Sequence[int]) -> Book:
    """Run the MRI's detector alone, on an ordinary liver and on one with many small metastases for every seed."""
    book = Book()
    for seed in seeds:
        _magnetic(simulate_pair(seed), book, peers=False)
        _magnetic(small_pair(seed), book, peers=False)
    return book


def measure_small(seeds: Sequence[int]) -> Book:
    """Run our detectors alone on livers with many small metastases."""
    book = Book()
    for seed in seeds:
        pair = small_pair(seed)
        _magnetic(pair, book, peers=False)
        _emission(pair, book, peers=False)
    return book


def report(book: Book) -> None:
    """Print the tables."""
    print_curves("MRI, metastases", book.mr, MR_FALSE)
    pairs: dict[tuple[str, str], int] = {}
    for pair in book.called:
        pairs[pair] = pairs.get(pair, 0) + 1
    print("called: " + ", ".join(f"{true} → {said} {n}" for (true, said), n in sorted(pairs.items())))
    print_curves(f"PET, uptake ≥ {AVID} times the liver's", book.pet, PET_FALSE)
    print_sizes(book.sizes)
    print_reliability("P(detect) of the PET, from true diameter and uptake", book.predicted)
    print_reliability("confidence of MRI candidates called metastasis", book.confidence)
    print_left_out()
    print()
    for cpu, before, peak in book.cost:
        print(f"all sequences and PET of a pair, alone: {cpu:.1f} s CPU, peak {peak:.0f} MB ({before:.0f} before)")
    print(f"peak memory of this process {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--quick", action="store_true", help="leave the peers and the ideal observer out")
    parser.add_argument(
        "--insertions", type=int, default=0, metavar="LIVERS", help="only test P(detect), on noise PETs"
    )
    parser.add_argument(
        "--confidence", type=int, default=0, metavar="LIVERS", help="only test MRI candidates' confidence"
    )
    parser.add_argument("--small", type=int, default=0, metavar="LIVERS", help="also livers full of small metastases")
    arguments = parser.parse_args()
    if arguments.insertions:
        rows = [row for n in range(arguments.insertions) for row in insertion_trials(arguments.seeds[0] + n)]
        print_reliability("P(detect) of lesions inserted into noise PETs", rows)
        pairs = [row for n in range(arguments.insertions // 10) for row in pair_trials(arguments.seeds[0] + n)]
        print_reliability("P(detect) of lesions inserted into PETs of simulated pairs", pairs)
        return
    if arguments.confidence:
        book = measure_confidence([arguments.seeds[0] + n for n in range((arguments.confidence + 1) // 2)])
        print_curves("MRI, metastases", book.mr, MR_FALSE)
        print_reliability("confidence of MRI candidates called metastasis", book.confidence)
        print_left_out()
        return
    report(measure(arguments.seeds, peers=not arguments.quick))
    if arguments.small:
        print(f"\n{arguments.small} livers with twelve metastases of 3-6 mm each")
        report(measure_small([arguments.seeds[0] + 1000 + n for n in range(arguments.small)]))


if __name__ == "__main__":
    main()
