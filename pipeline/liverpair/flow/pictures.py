"""Prepare a pair's overview: the same place cut from PET/CT and MRI, axial and coronal, at the lesion that decides.

Only the two planes that are shown are resampled. Registered, all columns show one plane of the PET/CT's frame, with
the outlines of both examinations on every panel and tiles of CT and MRI in turn: where the registration is right,
the two liver outlines coincide and edges run through the tiles.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.lesion import Lesion, Modality, Nature
from liverpair.core.study import AlignedPair, MatchedPair
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.report.overview import Label, Panel, draw_overview
from liverpair.flow.lesion_sheet import draw_lesion_sheet
from liverpair.flow.panels import (
    CT_WINDOW,
    Outlined,
    View,
    cut,
    first_mr,
    mr_panels,
    mr_roles,
    outlines,
    panel,
    pet_panels,
    pet_top,
    shown_at,
    window_of,
)
from liverpair.register.resample import resample

__all__ = ["draw_case"]

#: Pixel size of the pictures and the margin around the liver.
PIXEL_MM = 1.5
MARGIN_MM = 25.0
#: Side of a tile where CT and MRI alternate: small enough that every stretch of the liver's edge crosses several.
TILE_MM = 36.0
PLANES = ("axial", "coronal")


def _display_grid(image: Volume, liver: Mask | None) -> Grid:
    """An LPS-aligned isotropic grid around the liver (or the whole image where none was found)."""
    if liver is not None and not liver.is_empty:
        start, stop = liver.bounds()
        corners = liver.grid.cropped(start, stop).corners()
        margin = MARGIN_MM
    else:
        corners, margin = image.grid.corners(), 0.0
    low, high = corners.min(axis=0) - margin, corners.max(axis=0) + margin
    shape = np.maximum(1, np.ceil((high - low) / PIXEL_MM)).astype(int)
    affine = np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0])
    affine[:3, 3] = low
    return Grid((int(shape[0]), int(shape[1]), int(shape[2])), affine, image.grid.frame_of_reference)


def _views(image: Volume, liver: Mask | None, lesion_place: NDArray[np.float64] | None) -> list[View]:
    """The axial and coronal plane through the deciding lesion, else through the liver's middle."""
    grid = _display_grid(image, liver)
    place = lesion_place
    if place is None:
        place = liver.centroid() if liver is not None and not liver.is_empty else grid.corners().mean(axis=0)
    last = np.asarray(grid.shape) - 1
    index = np.clip(np.rint(grid.to_index(place)), 0, last).astype(np.int64)
    found = []
    for plane, axis in (("axial", 2), ("coronal", 1)):
        start, stop = np.zeros(3, dtype=np.int64), last + 1
        start[axis], stop[axis] = index[axis], index[axis] + 1
        found.append(View(plane, grid.cropped(start, stop), grid.to_world(index)))
    return found


def _deciding(lesions: tuple[Lesion, ...], modality: Modality | None = None) -> Lesion | None:
    """The lesion to show: the largest unmatched metastasis on MRI, else the largest at all."""
    candidates = [x for x in lesions if x.nature is Nature.METASTASIS and (modality is None or x.modality is modality)]
    if not candidates:
        return None

    def rank(lesion: Lesion) -> tuple[bool, bool, float, str]:
        size = lesion.measurement.long_axis_mm or 0.0
        return lesion.modality is Modality.MR, not lesion.matched, size * lesion.confidence, lesion.lesion_id

    return max(candidates, key=rank)


def _unit(values: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.float32]:
    low, high = window
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), dtype=np.float32)


def _tiles(aligned: AlignedPair, view: View, drawn: Outlined) -> Panel | None:
    """CT and the main MRI sequence in turn, tile by tile."""
    roles, ct = mr_roles(aligned), aligned.images.ct
    if not roles or ct is None:
        return None
    volume = aligned.images.mr[roles[0]]
    one = _unit(cut(view, ct, fill=-1000), CT_WINDOW)
    other = _unit(cut(view, volume, aligned.transform), window_of(volume))
    rows, columns = (np.arange(n) // round(TILE_MM / PIXEL_MM) for n in one.shape)
    odd = (rows[:, None] + columns[None]) % 2 == 1
    livers = tuple(c for c in drawn.contours if c.kind.startswith("liver"))
    title = f"CT and {roles[0].removeprefix('mr-').upper()} in tiles"
    return panel(view, title, np.where(odd, other, one), (0.0, 1.0), Outlined(livers, ()))


def _projection(matched: MatchedPair, view: View) -> Panel | None:
    """The PET's maximum over the display grid's depth, from the front; names of PET lesions beside them."""
    images = matched.segmented.aligned.images
    if images.pet is None or view.plane != "coronal":
        return None
    grid = _display_grid(images.ct or images.pet, matched.segmented.aligned.ct_liver)
    volume = resample(images.pet, grid.with_spacing((PIXEL_MM, 2 * PIXEL_MM, PIXEL_MM)))
    image = volume.values.max(axis=1)[:, ::-1].T
    labels = tuple(
        Label(x.lesion_id, *view.place(shown_at(x)), "PET" if x.nature is Nature.METASTASIS else "benign")
        for x in matched.lesions
        if x.modality is Modality.PET
    )
    drawn = Outlined((), labels)
    return panel(view, "PET, maximum", image, (0.0, 1.5 * pet_top(matched)), drawn, inverted=True)


def _together(matched: MatchedPair, base: Volume) -> list[list[Panel]]:
    """Both examinations in the PET/CT's frame: every outline on every panel."""
    aligned = matched.segmented.aligned
    lesion = _deciding(matched.lesions)
    place = lesion.centre_lps if lesion is not None else None
    rows = []
    for view in _views(base, aligned.ct_liver, place):
        drawn = outlines(matched, view, with_pet=True, with_mr=True)
        row = [*pet_panels(matched, view, drawn), *mr_panels(aligned, view, drawn, together=True)]
        last = _tiles(aligned, view, drawn) if view.plane == "axial" else _projection(matched, view)
        rows.append([*row, last] if last is not None else row)
    return rows


def _apart(matched: MatchedPair, base: Volume | None) -> list[list[Panel]]:
    """Each examination in its own frame and at its own place, with its own outlines only."""
    aligned = matched.segmented.aligned
    rows: list[list[Panel]] = [[], []]
    projection: Panel | None = None
    if base is not None:
        lesion = _deciding(matched.lesions, Modality.PET)
        for row, view in zip(rows, _views(base, aligned.ct_liver, shown_at(lesion) if lesion else None), strict=True):
            row += pet_panels(matched, view, outlines(matched, view, with_pet=True, with_mr=False))
            projection = projection or _projection(matched, view)
    main = first_mr(aligned)
    if main is not None:
        lesion = _deciding(matched.lesions, Modality.MR)
        for row, view in zip(rows, _views(main, aligned.mr_liver, lesion.native_lps if lesion else None), strict=True):
            row += mr_panels(aligned, view, outlines(matched, view, with_pet=False, with_mr=True), together=False)
    if projection is not None:
        rows[1].append(projection)
    return [row for row in rows if row]


def draw_case(matched: MatchedPair, caption: str, path: Path) -> None:
    """Write the pair's overview.png and, where it has lesions, lesions.png beside it; nothing without an image."""
    aligned = matched.segmented.aligned
    base = aligned.images.ct or aligned.images.pet
    registered = aligned.transform is not None and base is not None and first_mr(aligned) is not None
    rows = _together(matched, base) if registered and base is not None else _apart(matched, base)
    if rows:
        draw_overview(rows, caption, path)
        draw_lesion_sheet(matched, caption, path.with_name("lesions.png"))
