"""Segment the liver in a CT or MR volume without learned weights, and say when that failed."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.segment.liver_blood import without_blood, without_heart
from liverpair.segment.liver_border import FINEST_MR_MM, NEAR_AN_OUTLINE, BorderReach, refine_border
from liverpair.segment.liver_bulge import with_bulging_lesions
from liverpair.segment.liver_capsule import bright_bays_ml, with_capsule_lesions
from liverpair.segment.liver_cava import without_cava
from liverpair.segment.liver_ct import prepare_ct
from liverpair.segment.liver_diaphragm import without_diaphragm
from liverpair.segment.liver_doubts import without_unlike_parts
from liverpair.segment.liver_features import Features
from liverpair.segment.liver_fill import fill_lesions
from liverpair.segment.liver_fluid import without_bright_bile, without_fluid, without_t2_fluid
from liverpair.segment.liver_grid import anatomical_grid, mask_onto, sample
from liverpair.segment.liver_heart import above_floor, heart_over, without_part
from liverpair.segment.liver_kidney import without_right_kidney
from liverpair.segment.liver_layers import without_thin_layers
from liverpair.segment.liver_left_lobe import WIDE_SLIT_MM, with_lobes_behind_fissures
from liverpair.segment.liver_mode import OrganCore, enclosing_core, find_cores
from liverpair.segment.liver_morphology import BoolArray, depth, dilate, largest
from liverpair.segment.liver_mr import UNSHADED, prepare_mr
from liverpair.segment.liver_pet import pet_allows, relative_uptake, with_avid_lesions
from liverpair.segment.liver_quality import DOUBT, Judgement, judge
from liverpair.segment.liver_remnant import FLAG, is_right_side_empty, remnant_cores, remnant_doubts, remnant_limits
from liverpair.segment.liver_settings import LiverSettings, QualityLimits
from liverpair.segment.liver_shape import grow, is_distinct
from liverpair.segment.liver_walls import without_walled_parts

__all__ = ["LiverSegmentation", "LiverSettings", "correct_liver", "refine_liver", "segment_liver"]

#: A whole liver was not missed for its shading or its neighbours: there is none at its place.
NO_LIVER_ON_THE_RIGHT = frozenset({"no_large_organ_on_the_right", "too_small", "not_compact"})
#: Where parts of a liver are doubtful, a search with this share of the tolerances that leaves no doubt is nearer to the
#: truth: a liver without vessels and bowel of nearly its intensity (cava 4 HU below it: 71 mL of it, then 5).
STRICTER = 0.6
#: A strict search's doubtful parts may be this share of its volume (a real portal CT: 37 mL of stomach and pancreas in
#: the wide search's, 27 mL of a right one's left).
LITTLE_DOUBT = 0.03
#: Share of the tissue just outside that may look like liver on T2 and diffusion (sound masks 0.045 and less; one that
#: had lost a quarter of the liver 0.17).
LEAST_BORDER = 0.1
#: Share of the tissue that no liver reaches in which an unshaded T2 image's liver may have its like (18 livers of four
#: simulators 0.008–0.054; what was none 0.095–0.72).
MOST_ALIKE = 0.08
#: Where no organ is thick enough, bands of intensities are widened to so many of the least credible sd of a liver.
LEAST_BAND_SD = 1.5
#: A search by another correction of the shading whose mask is bounded by real edges is a liver, though a stricter one
#: leaves out parts of it (the nodules of a cirrhosis): a laxer search and it agree by this, a stricter one by that, and
#: of the tissue just outside it no more than this share looks alike.
BOUNDED_LOOSE, BOUNDED_TIGHT, BOUNDED_ALIKE = 0.92, 0.85, 0.03
#: The flag of a T2 mask of which so much (mL) is lesions in bays at the ribs or the dome, whose outline was guessed (in
#: fifteen sound masks 9 at most; in two that lost 40–130 mL of lesions 15 and 42).
GUESSED, GUESSED_ML = "lesions_at_the_capsule", 12.0
#: What a wide search's leak is told by.
WIDE_ONLY = frozenset({DOUBT, "no_border", "unstable", "reaches_the_far_end", "leaks_to_the_left_or_back", "too_large"})
ROLES = ("ct", "mr-hbp", "mr-t1-native", "mr-arterial", "mr-portal", "mr-t2", "mr-dwi", "mr-adc")


@dataclass(frozen=True, slots=True, eq=False)
class LiverSegmentation:
    """A liver mask on the image's grid (None where nothing was found), its verdict and the numbers behind it.

    ``verdict`` is "usable" or "failed"; ``reasons`` are stable codes, which for a usable mask are flags.
    """

    mask: Mask | None
    verdict: str
    reasons: tuple[str, ...]
    volume_ml: float
    facts: dict[str, Any]


def segment_liver(
    image: Volume, role: str, settings: LiverSettings = LiverSettings(), pet: Volume | None = None
) -> LiverSegmentation:
    """The liver in ``image`` (any orientation; HU for role "ct", arbitrary units for "mr-…").

    ``pet`` (SUVbw, any grid in the same space) helps a CT. Raises UsageError for an unknown role.
    """
    if role not in ROLES:
        raise UsageError(f"role {role!r} is not one of {', '.join(ROLES)}: no liver model exists for it")
    settings = replace(settings, quality=_limits(role, settings.quality))
    step = settings.work_spacing_mm
    by_tissues = role == "mr-hbp"
    features = prepare_ct(image, step) if role == "ct" else prepare_mr(image, role, step, by_tissues)
    if features is None:
        return LiverSegmentation(None, "failed", ("no_body",), 0.0, {})
    cores = find_cores(features)
    if by_tissues and not cores:  # so flat that lesions break the narrow peak's ball (23 mm in two livers)
        cores = find_cores(features, least_share=LEAST_BAND_SD * features.relative[1])
    if role in UNSHADED:  # what fat, muscle or spleen look like is no liver: a search would leak into them at length
        cores = [core for core in cores if is_distinct(features, core, most=MOST_ALIKE)]
    found = _search(image, role, settings, pet, features, cores)
    if by_tissues and not found.usable:
        features, found = _levelled(image, role, settings, features, found)
    if by_tissues and found.usable:
        found = found.without_neighbours(features)
    elif found.core is not None and WIDE_ONLY.intersection(found.judgement.reasons):
        strict = replace(settings, quality=replace(settings.quality, doubt_fails=False))
        again = _search(image, role, strict, pet, features.stricter(STRICTER), [found.core])
        found = again.flagged(DOUBT) if again.usable and _surer(again, found) else found
    if not found.usable and NO_LIVER_ON_THE_RIGHT.intersection(found.judgement.reasons):
        found = _remnant(image, role, settings, pet, features) or found
    return _placed(image, role, features, found)


def _limits(role: str, quality: QualityLimits) -> QualityLimits:
    """The limits for one kind of image: on T2 visceral fat and bowel come so near to the liver that what may be a leak
    is one (Dice 0.70), and on T2 and diffusion a liver has a border to all that surrounds it. On hepatobiliary images
    it has an intensity of its own, by which its thin lobes are told from a leak."""
    if role == "mr-hbp":
        return replace(quality, thin_lobes=True)
    if role not in ("mr-t2", "mr-dwi"):
        return quality
    alike = min(quality.most_alike_around, LEAST_BORDER)
    return replace(quality, doubt_fails=role == "mr-t2", most_alike_around=alike)


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """The organ around a core on the work grid, judged; where it is too small for a liver, the core around it.

    ``heart``: what lies on the liver and is none, where the image tells.
    """

    core: OrganCore | None
    mask: BoolArray
    judgement: Judgement
    facts: dict[str, Any] = field(default_factory=dict)
    around: OrganCore | None = None
    heart: BoolArray | None = None

    @property
    def usable(self) -> bool:
        return self.judgement.verdict == "usable"

    def without_neighbours(self, features: Features) -> _Found:
        """The same without its doubtful parts that have not the liver's intensity; what is taken out stays a flag."""
        parts = self.judgement.left_out
        if self.core is None or parts is None or DOUBT not in self.judgement.reasons:
            return self
        return replace(self, mask=without_unlike_parts(features, self.mask, self.core, parts))

    @property
    def doubtful_share(self) -> float:
        facts = self.judgement.facts
        return float(facts.get("doubtful_ml", 0.0)) / max(1.0, float(facts.get("volume_ml", 0.0)))

    def flagged(self, flag: str) -> _Found:
        reasons = tuple(dict.fromkeys((*self.judgement.reasons, flag)))
        return replace(self, judgement=replace(self.judgement, reasons=reasons))


def _surer(again: _Found, found: _Found) -> bool:
    """Whether a strict search's answer replaces a wide one's: it leaves no doubt, or less than that one did and so
    little that it costs no more than a border does."""
    less = not found.usable or again.doubtful_share < found.doubtful_share
    return DOUBT not in again.judgement.reasons or (less and again.doubtful_share <= LITTLE_DOUBT)


def _levelled(
    image: Volume, role: str, settings: LiverSettings, features: Features, found: _Found
) -> tuple[Features, _Found]:
    """What a search finds where N4 levels the shading, for one that failed where the shading was read in the tissues.

    N4 sharpens the histogram, and with it takes a liver that is much brighter than all else for the coil's place: it
    levels out what tells a liver from its neighbours (a cirrhosis: 0.97 → 0.83), so it comes second. ``found`` stands
    nevertheless where nothing but a stricter search speaks against it.
    """
    levelled = prepare_mr(image, role, settings.work_spacing_mm)
    if levelled is None:
        return features, found
    again = _search(image, role, settings, None, levelled, find_cores(levelled))
    distinct = found.core is not None and is_distinct(features, found.core, but_a_kidney=True)
    if not again.usable and distinct and _bounded(found.judgement):
        left = tuple(reason for reason in found.judgement.reasons if reason != "unstable")
        judged = replace(found.judgement, verdict="usable", reasons=left)
        return features, replace(found, judgement=judged).flagged(DOUBT)
    return levelled, again


def _bounded(judged: Judgement) -> bool:
    """Whether nothing but a stricter search speaks against a mask that has a border all around."""
    facts = judged.facts
    if not {"unstable", DOUBT, "fov_truncated"}.issuperset(judged.reasons):
        return False
    sharp = facts["shell_alike"] <= BOUNDED_ALIKE and facts["agreement_loose"] >= BOUNDED_LOOSE
    return bool(sharp and facts["agreement_tight"] >= BOUNDED_TIGHT)


def _nothing(features: Features, core: OrganCore | None = None) -> _Found:
    empty = np.zeros(features.grid.shape, dtype=bool)
    return _Found(core, empty, Judgement("failed", ("no_large_organ_on_the_right",), {}))


def _search(
    image: Volume,
    role: str,
    settings: LiverSettings,
    pet: Volume | None,
    features: Features,
    cores: list[OrganCore],
) -> _Found:
    """The first core's organ that passes for a liver; else what was found around the likeliest core."""
    waiting = [(core, np.zeros(features.grid.shape, dtype=bool)) for core in cores]
    tried: list[_Found] = []
    while waiting and len(tried) < settings.most_cores:
        core, lesion = waiting.pop(0)
        found = _around(image, role, settings, pet, features, core, lesion)
        tried.append(found)
        if found.usable:
            return found
        waiting = ([(found.around, found.mask)] if found.around is not None else []) + waiting
    return tried[0] if tried else _nothing(features)


def _remnant(
    image: Volume, role: str, settings: LiverSettings, pet: Volume | None, features: Features
) -> _Found | None:
    """A left lobe at the midline, where the image proves it; None where there is none."""
    limits = replace(settings, quality=remnant_limits(settings.quality))
    nothing = np.zeros(features.grid.shape, dtype=bool)
    empty = role == "ct" and is_right_side_empty(features)
    for core in remnant_cores(features, role == "ct")[: settings.most_cores]:
        proven_by_pet = role == "ct" and pet is not None and relative_uptake(pet, features, core) is not None
        distinct = role == "mr-hbp" and is_distinct(features, core, but_a_kidney=True)
        if not (proven_by_pet or distinct or empty):
            continue
        found = _around(image, role, limits, pet, features, core, nothing)
        if role == "ct" and WIDE_ONLY.intersection(found.judgement.reasons):
            again = _around(image, role, limits, pet, features.stricter(STRICTER), core, nothing)
            found = again if again.usable and _surer(again, found) else found
        if found.usable and not remnant_doubts(features, found.mask):
            return found.flagged(FLAG)
    return None


def _around(
    image: Volume,
    role: str,
    settings: LiverSettings,
    pet: Volume | None,
    features: Features,
    core: OrganCore,
    lesion: BoolArray,
) -> _Found:
    """The organ around one core and with a lesion that it encloses, judged, on the work grid."""
    whole = features
    ratio = relative_uptake(pet, features, core) if role == "ct" and pet is not None and settings.use_pet else None
    if ratio is not None:
        features = replace(features, allowed=features.allowed & pet_allows(ratio, features))
    grown = grow(features, core)
    heart = heart_over(features, grown, core) if role == "mr-t2" else None
    if heart is not None:
        features, grown = replace(features, allowed=features.allowed & ~heart), without_part(grown, heart, core)
    filled = fill_lesions(features, grown | lesion if grown.any() else grown, core)
    if ratio is not None:
        filled = with_avid_lesions(ratio, features, filled)
    if role == "mr-t2":
        filled = without_t2_fluid(features, filled if heart is None else filled & ~heart, core)
    coarse = _completed(image, role, features, filled, core, pet_tells=ratio is not None)
    if not coarse.any():
        return _nothing(features, core)
    around = enclosing_core(whole, coarse) if settings.quality.too_small(features, coarse) else None
    judged = judge(features, coarse, core, settings.quality, grown)
    found = _Found(core, coarse, judged, {"pet_used": ratio is not None}, around, heart)
    guessed = role == "mr-t2" and bright_bays_ml(features, filled, core) >= GUESSED_ML
    return found.flagged(GUESSED) if guessed else found


def _completed(
    image: Volume, role: str, features: Features, mask: BoolArray, core: OrganCore, pet_tells: bool
) -> BoolArray:
    """``mask`` (work grid) with the lesions and lobes that this kind of image shows, and without its neighbours."""
    if role == "ct":
        mask = without_blood(features, without_fluid(features, mask, core))
        if pet_tells:
            return with_lobes_behind_fissures(features, mask, core, pet_tells=True)
        return with_lobes_behind_fissures(features, mask, core, slit_mm=WIDE_SLIT_MM, by_place=True)
    if role == "mr-hbp":
        mask = with_bulging_lesions(features, with_capsule_lesions(features, mask, core), core)
        mask = without_right_kidney(features, without_bright_bile(features, mask, core), core)
        mask = without_walled_parts(image, without_cava(features, mask, core), features.grid)
        return with_lobes_behind_fissures(features, mask, core)
    if role == "mr-t2":
        mask = with_capsule_lesions(features, mask, core, bright=True)
        mask = without_walled_parts(image, without_cava(features, mask, core), features.grid)
        return with_lobes_behind_fissures(features, mask, core, slit_mm=WIDE_SLIT_MM)
    return without_walled_parts(image, mask, features.grid)


def _placed(image: Volume, role: str, features: Features, found: _Found) -> LiverSegmentation:
    """What was found, with its border on the image's edges."""
    facts = {**found.judgement.facts, **found.facts}
    if not found.mask.any():
        return LiverSegmentation(None, found.judgement.verdict, found.judgement.reasons, 0.0, facts)
    reach = BorderReach(clefts=True) if role == "ct" else BorderReach(finest_mm=FINEST_MR_MM)
    placed = refine_border(image, found.mask, features.grid, reach)
    if role in UNSHADED and found.core is not None:
        placed = without_thin_layers(image, placed, found.mask, features, found.core)
    if found.heart is not None:  # the strongest edge may lie in it
        placed = placed & ~mask_onto(above_floor(found.heart), features.grid, image.grid)
    mask = Mask(placed, image.grid)
    if role == "ct":
        mask = without_diaphragm(image, without_heart(mask, features, found.mask))
    if mask.is_empty:
        return LiverSegmentation(None, "failed", ("empty_after_refinement",), 0.0, facts)
    return LiverSegmentation(mask, found.judgement.verdict, found.judgement.reasons, mask.volume_ml, facts)


def refine_liver(
    ct: Volume, ct_mask: Mask, warped_mr_mask: Mask, warped_mr: Volume | None = None, band_mm: float = 12.0
) -> Mask:
    """A better CT liver mask from the CT's own and the MRI's, brought into the CT's frame by registration.

    The MRI shows the whole outline, the CT the exact place: where the two agree within ``band_mm`` the edge is sought
    around the middle of the two outlines, on CT and ``warped_mr`` together (without it: on the CT alone, near the
    MRI's outline). Where they differ by more (one of them leaked or lost a part, or the registration is off) the CT's
    mask stays. Towards the lung the MRI's outline says how thick the diaphragm is, which goes; so does heart that the
    CT tells from the liver. Masks and images may lie on any grid; the result is on ``ct.grid``.
    """
    grid = anatomical_grid(ct.grid, 3.0)
    own = sample(ct_mask, grid) >= 0.5
    other = sample(warped_mr_mask, grid) >= 0.5
    if not own.any() or not other.any():
        return ct_mask
    lost = own & ~dilate(other, band_mm, grid.spacing)
    gained = other & ~dilate(own, band_mm, grid.spacing)
    apart = dilate(lost | gained, 2 * band_mm, grid.spacing)
    outline = other if warped_mr is None else _signed(own, grid) + _signed(other, grid) > 0
    start = largest(np.where(apart, own, outline))
    reach = NEAR_AN_OUTLINE if warped_mr is None else BorderReach(clefts=True)
    placed = Mask(refine_border(ct, start, grid, reach, warped_mr), ct.grid)
    features = prepare_ct(ct, 3.0)
    if features is not None:
        placed = without_heart(placed, features, sample(ct_mask, features.grid) >= 0.5)
    return without_diaphragm(ct, placed, warped_mr_mask)


def _signed(mask: BoolArray, grid: Grid) -> NDArray[np.float32]:
    """Depth in the mask, mm; negative outside it."""
    return depth(mask, grid.spacing) - depth(~mask, grid.spacing)


def correct_liver(image: Volume, mask: Mask, gained: Mask | None, lost: Mask | None, near_mm: float = 8.0) -> Mask:
    """``mask`` with the part ``gained`` and without ``lost`` (any grids, in the image's frame), on ``image.grid``.

    Its border is sought anew within ``near_mm`` of these parts and stays everywhere else.
    """
    if gained is None and lost is None:
        return mask
    grid = anatomical_grid(image.grid, 3.0)
    coarse = sample(mask, grid) >= 0.5
    changed = np.zeros(grid.shape, dtype=bool)
    for part, there in ((gained, True), (lost, False)):
        if part is not None:
            region = sample(part, grid) >= 0.5
            coarse = np.where(region, there, coarse)
            changed |= region
    placed = refine_border(image, largest(coarse), grid, NEAR_AN_OUTLINE)
    near = sample(Mask(dilate(changed, near_mm, grid.spacing), grid), image.grid) >= 0.5
    return Mask(np.where(near, placed, mask.values), image.grid)
