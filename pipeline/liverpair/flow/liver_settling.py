"""Register two examinations and settle where their livers differ: each image corrects the other's mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from liverpair.core.geometry import Grid
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import Mask, Volume
from liverpair.register.align import RegisterSettings, Registration, register
from liverpair.register.inverse import inverse_transform
from liverpair.register.resample import covered, resample, resample_mask
from liverpair.segment.liver import correct_liver, refine_liver
from liverpair.segment.liver_agreement import Agreement, AgreementSettings, Cause, compare_livers, missing_parts
from liverpair.segment.liver_border import NEAR_AN_OUTLINE, refine_border
from liverpair.segment.liver_diaphragm import without_diaphragm
from liverpair.segment.liver_grid import anatomical_grid, reached, sample

__all__ = ["Livers", "RegisteredLivers", "register_livers"]

#: What lies around both livers, mm: where the comparison looks.
MARGIN_MM = 20.0
#: The part of a CT that both livers may change in: this far (mm) around them, as found on a grid of that step (mm). A
#: whole body's CT is five times as large.
NEAR_MM, COARSE_MM = 36.0, 6.0
#: A liver that changed by more than this share of itself is registered once more: its outline had misled.
REGISTER_AGAIN = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Livers:
    """The livers of CT and MRI (None where none can be trusted), and whether a mask is liverpair's own to correct.

    What a reader drew or a model found stays as it is. ``mr_weak``: the MRI is a sequence in which the liver's own
    outline is hard to find (T2, diffusion: Dice 0.92–0.96 where CT with PET reaches 0.97).
    """

    ct: Mask | None
    mr: Mask | None
    ct_own: bool = True
    mr_own: bool = True
    mr_weak: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class RegisteredLivers:
    """The registration, both livers as the two examinations together show them, and what was found on the way."""

    registration: Registration
    livers: Livers
    facts: dict[str, Any]


def register_livers(
    ct: Volume,
    mr: Volume,
    livers: Livers,
    settings: RegisterSettings,
    agreement: AgreementSettings,
    pet: Volume | None = None,
) -> RegisteredLivers:
    """Put the MRI onto the CT, compare the two livers part by part, and correct what one image shows of the other.

    A part of one liver that the other examination does not have, and that no slip of a mask explains, fails the
    registration: between the two examinations the liver was resected, or one mask is wrong as a whole. A liver that
    only one image shows is carried over by a usable registration.
    """
    found = register(ct, mr, livers.ct, livers.mr, settings, pet)
    if found.transform is None:
        return RegisteredLivers(found, livers, {})
    part = _part(ct, livers, found.transform)

    def again(ct_liver: Mask | None, mr_liver: Mask | None) -> Registration:
        return register(ct, mr, part.whole(ct_liver), mr_liver, settings, pet)

    settled = _together(part.ct, mr, part.livers, found, found.transform, agreement, again)
    return replace(settled, livers=replace(settled.livers, ct=part.whole(settled.livers.ct)))


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """The part of a CT around both livers, the livers there, and what it is a part of."""

    ct: Volume
    livers: Livers
    window: tuple[slice, slice, slice]
    grid: Grid
    before: Mask | None

    def whole(self, liver: Mask | None) -> Mask | None:
        """A liver of this part on the whole CT's grid; the very one that was given where it did not change."""
        if liver is None or liver is self.livers.ct:
            return self.before if liver is not None else None
        values = np.zeros(self.grid.shape, dtype=bool)
        values[self.window] = liver.values
        return Mask(values, self.grid)


def _part(ct: Volume, livers: Livers, transform: SpatialTransform) -> _Part:
    coarse = anatomical_grid(ct.grid, COARSE_MM)
    seen = np.zeros(coarse.shape, dtype=bool)
    if livers.ct is not None:
        seen |= sample(livers.ct, coarse) > 0
    if livers.mr is not None:
        seen |= resample_mask(livers.mr, coarse, transform).values
    if not seen.any():
        seen[...] = True
    first, last = reached(ct.grid, coarse.cropped(*Mask(seen, coarse).bounds(NEAR_MM)), 1)
    i, j, k = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
    grid = ct.grid.cropped(first, last)
    own = None if livers.ct is None else Mask(livers.ct.values[i, j, k], grid)
    near = replace(ct, values=ct.values[i, j, k], grid=grid)
    return _Part(near, replace(livers, ct=own), (i, j, k), ct.grid, livers.ct)


def _together(
    ct: Volume,
    mr: Volume,
    livers: Livers,
    found: Registration,
    transform: SpatialTransform,
    agreement: AgreementSettings,
    again: Callable[[Mask | None, Mask | None], Registration],
) -> RegisteredLivers:
    """Compare and correct two livers; ``again`` registers corrected ones."""
    if livers.ct is None or livers.mr is None:
        alone = _missing(ct, mr, livers, transform, agreement)
        if alone.unexplained_share > agreement.largest_share:
            return RegisteredLivers(_failed(found, alone), livers, _facts(alone))
        return _carried(ct, mr, livers, found)
    compared, grid = _compared(ct, mr, livers.ct, livers.mr, transform, agreement)
    facts = _facts(compared)
    if compared.unexplained_share > agreement.largest_share:
        return RegisteredLivers(_failed(found, compared), livers, facts)
    settled = _settled(ct, mr, livers, compared, grid, transform)
    if max(_change(livers.ct, settled.ct), _change(livers.mr, settled.mr)) > REGISTER_AGAIN:
        second = again(settled.ct, settled.mr)
        found = second if second.transform is not None else found
    if livers.mr_weak and livers.mr_own:
        together = _carried(ct, mr, replace(settled, mr=None), found)
        mr_liver = settled.mr if together.livers.mr is None else together.livers.mr
        return replace(together, livers=replace(settled, mr=mr_liver), facts=facts | together.facts)
    return RegisteredLivers(found, _refined(ct, mr, settled, found), facts)


def _compared(
    ct: Volume, mr: Volume, ct_liver: Mask, mr_liver: Mask, transform: SpatialTransform, settings: AgreementSettings
) -> tuple[Agreement, Grid]:
    """In which parts the livers differ, and the work grid around both on which those parts lie."""
    grid = _work_grid(ct_liver, resample_mask(mr_liver, ct_liver.grid, transform), settings.work_spacing_mm)
    compared = compare_livers(
        sample(ct, grid),
        resample(mr, grid, transform).values,
        sample(ct_liver, grid) >= 0.5,
        resample_mask(mr_liver, grid, transform).values,
        covered(ct.grid, grid) & covered(mr.grid, grid, transform.affine),
        grid,
        settings,
    )
    return compared, grid


def _missing(
    ct: Volume, mr: Volume, livers: Livers, transform: SpatialTransform, settings: AgreementSettings
) -> Agreement:
    """What one examination's liver has and the other image, whose liver was not found, does not."""
    if livers.ct is not None:
        grid = _work_grid(livers.ct, livers.ct, settings.work_spacing_mm)
        liver, image = sample(livers.ct, grid) >= 0.5, resample(mr, grid, transform).values
    elif livers.mr is not None:
        warped = resample_mask(livers.mr, ct.grid, transform)
        if warped.is_empty:
            return Agreement((), 0.0)
        grid = _work_grid(warped, warped, settings.work_spacing_mm)
        liver, image = sample(warped, grid) >= 0.5, sample(ct, grid)
    else:
        return Agreement((), 0.0)
    seen = covered(ct.grid, grid) & covered(mr.grid, grid, transform.affine)
    return missing_parts(image, liver, seen, livers.ct is None, grid, settings)


def _settled(
    ct: Volume, mr: Volume, livers: Livers, compared: Agreement, grid: Grid, transform: SpatialTransform
) -> Livers:
    """Both livers with what the other examination shows of them."""
    if not compared.parts:
        return livers
    back = inverse_transform(transform)

    def on_ct(*causes: Cause) -> Mask | None:
        region = compared.region(*causes)
        return None if region is None else Mask(region, grid)

    def on_mr(*causes: Cause) -> Mask | None:
        region = on_ct(*causes)
        return None if region is None else resample_mask(region, mr.grid, back)

    ct_liver, mr_liver = livers.ct, livers.mr
    if ct_liver is not None and livers.ct_own:
        ct_liver = correct_liver(ct, ct_liver, on_ct("lost_on_ct"), on_ct("leak_on_ct"))
    if mr_liver is not None and livers.mr_own:
        mr_liver = correct_liver(mr, mr_liver, on_mr("lost_on_mr"), on_mr("fluid", "leak_on_mr"))
    return replace(livers, ct=ct_liver, mr=mr_liver)


def _work_grid(ct_liver: Mask, warped: Mask, spacing_mm: float) -> Grid:
    """The work grid around both livers."""
    low, high = (np.asarray(bound) for bound in Mask(ct_liver.values | warped.values, ct_liver.grid).bounds())
    margin = np.ceil(MARGIN_MM / ct_liver.grid.spacing).astype(int)
    first, last = np.maximum(low - margin, 0), np.minimum(high + margin, np.asarray(ct_liver.grid.shape))
    return anatomical_grid(ct_liver.grid.cropped(first, last), spacing_mm)


def _facts(compared: Agreement) -> dict[str, Any]:
    return {
        "unexplained_share": compared.unexplained_share,
        "parts": [
            {"only_in": part.only_in, "volume_ml": part.volume_ml, "cause": part.cause} for part in compared.parts
        ],
    }


def _failed(found: Registration, compared: Agreement) -> Registration:
    """The registration, refused because the two livers are not one liver."""
    part = max((p for p in compared.parts if p.cause == "unexplained"), key=lambda p: p.volume_ml)
    where, other = ("the CT", "the MRI") if part.only_in == "ct" else ("the MRI", "the CT")
    sentence = (
        f"a part of {part.volume_ml:.0f} mL that {where} shows as liver is missing on {other}: the liver was resected "
        "between the examinations, or one of the two liver masks is wrong (look at the overlay, or give masks)"
    )
    return replace(found, verdict="failed", reasons=(sentence, *found.reasons), transform=None, uncertainty=None)


def _change(before: Mask | None, after: Mask | None) -> float:
    """How much of a liver was gained or lost."""
    if before is None or after is None or before is after:
        return 0.0
    return float((before.values ^ after.values).sum()) / max(1, int(before.values.sum()))


def _refined(ct: Volume, mr: Volume, livers: Livers, found: Registration) -> Livers:
    """The CT's border sought on both images, where the registration can be trusted with it."""
    if found.verdict != "usable" or found.transform is None or not livers.ct_own or livers.ct is None:
        return livers
    if livers.mr is None:
        return livers
    outline = resample_mask(livers.mr, ct.grid, found.transform)
    return replace(livers, ct=refine_liver(ct, livers.ct, outline, resample(mr, ct.grid, found.transform)))


def _carried(ct: Volume, mr: Volume, livers: Livers, found: Registration) -> RegisteredLivers:
    """The liver that one image did not show, carried over from the other and placed on its own image's edges."""
    if found.verdict != "usable" or found.transform is None:
        return RegisteredLivers(found, livers, {})
    if livers.ct is not None:
        placed = _placed(mr, resample_mask(livers.ct, mr.grid, inverse_transform(found.transform)))
        return RegisteredLivers(found, replace(livers, mr=placed), {"carried": "ct_to_mr"})
    if livers.mr is not None:
        outline = resample_mask(livers.mr, ct.grid, found.transform)
        placed = without_diaphragm(ct, _placed(ct, outline), outline)
        return RegisteredLivers(found, replace(livers, ct=placed), {"carried": "mr_to_ct"})
    return RegisteredLivers(found, livers, {})


def _placed(image: Volume, start: Mask) -> Mask:
    return Mask(refine_border(image, start.values, start.grid, NEAR_AN_OUTLINE), image.grid)
