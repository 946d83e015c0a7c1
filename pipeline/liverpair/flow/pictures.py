"""Prepare a pair's overview: the same place cut from PET/CT and MRI, axial and coronal, at the lesion that decides.

Only the two planes that are shown are resampled. Registered, all columns show one plane of the PET/CT's frame, with
the outlines of both examinations on every panel and tiles of CT and MRI in turn: where the registration is right,
the two liver outlines coincide and edges run through the tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.lesion import Detection, Lesion, Modality, Nature
from liverpair.core.study import AlignedPair, MatchedPair
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.report.overview import Contour, Label, Panel, draw_overview
from liverpair.register.resample import resample, resample_labels, resample_mask

__all__ = ["draw_case"]

#: Pixel size of the pictures and the margin around the liver.
PIXEL_MM = 1.5
MARGIN_MM = 25.0
CT_WINDOW = (-60.0, 160.0)
#: Side of a tile where CT and MRI alternate: small enough that every stretch of the liver's edge crosses several.
TILE_MM = 36.0
PLANES = ("axial", "coronal")


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """A plane to cut: ``grid`` is one voxel thick; ``focus`` the LPS point that the cross marks."""

    plane: str
    grid: Grid
    focus: NDArray[np.float64]

    def flat(self, values: NDArray[Any]) -> NDArray[Any]:
        """The plane as a picture: axial as radiologists look at it (from the feet), coronal from the front."""
        return values[:, :, 0].T if self.plane == "axial" else values[:, 0, ::-1].T

    def place(self, lps: NDArray[np.float64]) -> tuple[float, float]:
        """(column, row) of a point on the picture."""
        i, j, k = self.grid.to_index(lps)
        return (float(i), float(j)) if self.plane == "axial" else (float(i), float(self.grid.shape[2] - 1 - k))


@dataclass(frozen=True, slots=True, eq=False)
class _Outlined:
    """What is outlined on every panel of a view."""

    contours: tuple[Contour, ...]
    labels: tuple[Label, ...]


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


def _views(image: Volume, liver: Mask | None, lesion_place: NDArray[np.float64] | None) -> list[_View]:
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
        found.append(_View(plane, grid.cropped(start, stop), grid.to_world(index)))
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


def _window(volume: Volume) -> tuple[float, float]:
    """A window that shows the middle 98 % of what is not background."""
    shown = volume.values[::2, ::2, ::2]
    shown = shown[shown > 0]
    if shown.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(shown, [1, 99])
    return float(low), float(max(high, low + 1e-6))


def _pet_top(matched: MatchedPair) -> float:
    """The PET window's upper end: three times the liver, so that a lesion stands out and the liver is still seen."""
    reference = matched.segmented.reference
    if reference is not None:
        return 3.0 * reference.mean
    pet = matched.segmented.aligned.images.pet
    return float(np.percentile(pet.values, 99.7)) if pet is not None else 1.0


def _shown_at(lesion: Lesion) -> NDArray[np.float64]:
    """Where the pair's volumes show a lesion: a PET put back onto its CT no longer shows it where it was."""
    if lesion.modality is Modality.PET and lesion.centre_lps is not None:
        return lesion.centre_lps
    return lesion.native_lps


def _kinds(detection: Detection, lesions: Sequence[Lesion], modality: Modality) -> dict[int, tuple[str, str]]:
    """Label → (outline's kind, lesion's name); benign foci are drawn apart, unmeasured ones have no name."""
    names = [(_shown_at(x), x.lesion_id) for x in lesions if x.modality is modality]
    found = {}
    for c in detection.candidates:
        name = next((n for place, n in names if np.array_equal(place, c.centre_lps)), "")
        found[c.label] = (modality.value if c.nature is Nature.METASTASIS else "benign", name)
    return found


def _lesions_on(
    view: _View, detection: Detection | None, kinds: dict[int, tuple[str, str]], transform: SpatialTransform | None
) -> _Outlined:
    """The outlines of a detection's regions on a view, and their names at the regions' middles."""
    if detection is None:
        return _Outlined((), ())
    cut = view.flat(resample_labels(detection.labels, view.grid, transform).values)
    contours, labels = [], []
    for kind in sorted({k for k, _ in kinds.values()}):
        chosen = [label for label, (k, _) in kinds.items() if k == kind]
        contours.append(Contour(np.isin(cut, chosen), kind))
    for label, (kind, name) in sorted(kinds.items()):
        rows, columns = np.nonzero(cut == label)
        if name and rows.size:
            labels.append(Label(name, float(columns.max()), float(rows.max()), kind))
    return _Outlined(tuple(contours), tuple(labels))


def _liver_on(view: _View, liver: Mask | None, kind: str, transform: SpatialTransform | None) -> tuple[Contour, ...]:
    if liver is None:
        return ()
    return (Contour(view.flat(resample_mask(liver, view.grid, transform).values), kind),)


def _outlines(matched: MatchedPair, view: _View, with_pet: bool, with_mr: bool) -> _Outlined:
    """Livers and lesions of the examinations that can be drawn on a view."""
    segmented = matched.segmented
    aligned = segmented.aligned
    to_mr = aligned.transform if with_pet else None
    contours: tuple[Contour, ...] = ()
    labels: tuple[Label, ...] = ()
    if with_pet:
        contours += _liver_on(view, aligned.ct_liver, "liver", None)
    if with_mr:
        contours += _liver_on(view, aligned.mr_liver, "liver on MRI", to_mr)
    for wanted, detection, modality, transform in (
        (with_mr, segmented.mr, Modality.MR, to_mr),
        (with_pet, segmented.pet, Modality.PET, None),
    ):
        if wanted and detection is not None:
            kinds = _kinds(detection, matched.lesions, modality)
            drawn = _lesions_on(view, detection, kinds, transform)
            contours, labels = contours + drawn.contours, labels + drawn.labels
    return _Outlined(contours, labels)


def _panel(
    view: _View, title: str, image: NDArray[np.float32], window: tuple[float, float], drawn: _Outlined, **more: Any
) -> Panel:
    return Panel(
        f"{title}, {view.plane}",
        image,
        window,
        drawn.contours,
        labels=drawn.labels,
        cross=view.place(view.focus),
        sides=("R", "L"),
        pixel_mm=PIXEL_MM,
        **more,
    )


def _cut(view: _View, volume: Volume, transform: SpatialTransform | None = None, fill: float = 0.0) -> Any:
    return view.flat(resample(volume, view.grid, transform, fill=fill).values)


def _pet_panels(matched: MatchedPair, view: _View, drawn: _Outlined) -> list[Panel]:
    images, top = matched.segmented.aligned.images, _pet_top(matched)
    pet = _cut(view, images.pet) if images.pet is not None else None
    panels = []
    if images.ct is not None:
        ct = _cut(view, images.ct, fill=-1000)
        title = "CT" if pet is None else "PET/CT"
        panels.append(_panel(view, title, ct, CT_WINDOW, drawn, overlay=pet, overlay_window=(0.15 * top, top)))
    if pet is not None:
        panels.append(_panel(view, "PET", pet, (0.0, top), drawn, inverted=True))
    return panels


def _mr_roles(aligned: AlignedPair) -> list[str]:
    """The main sequence and one more."""
    roles = [r for r in (aligned.quality.get("main_sequence"), "mr-dwi", "mr-t2") if r in aligned.images.mr]
    return list(dict.fromkeys(r for r in roles if r))[:2]


def _mr_panels(aligned: AlignedPair, view: _View, drawn: _Outlined, together: bool) -> list[Panel]:
    transform = aligned.transform if together else None
    where = "on PET/CT" if together else "(not registered)"
    panels = []
    for role in _mr_roles(aligned):
        volume = aligned.images.mr[role]
        title = f"{role.removeprefix('mr-').upper()} {where}"
        panels.append(_panel(view, title, _cut(view, volume, transform), _window(volume), drawn))
    return panels


def _unit(values: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.float32]:
    low, high = window
    return np.asarray(np.clip((values - low) / (high - low), 0, 1), dtype=np.float32)


def _tiles(aligned: AlignedPair, view: _View, drawn: _Outlined) -> Panel | None:
    """CT and the main MRI sequence in turn, tile by tile."""
    roles, ct = _mr_roles(aligned), aligned.images.ct
    if not roles or ct is None:
        return None
    volume = aligned.images.mr[roles[0]]
    one = _unit(_cut(view, ct, fill=-1000), CT_WINDOW)
    other = _unit(_cut(view, volume, aligned.transform), _window(volume))
    rows, columns = (np.arange(n) // round(TILE_MM / PIXEL_MM) for n in one.shape)
    odd = (rows[:, None] + columns[None]) % 2 == 1
    livers = tuple(c for c in drawn.contours if c.kind.startswith("liver"))
    title = f"CT and {roles[0].removeprefix('mr-').upper()} in tiles"
    return _panel(view, title, np.where(odd, other, one), (0.0, 1.0), _Outlined(livers, ()))


def _projection(matched: MatchedPair, view: _View) -> Panel | None:
    """The PET's maximum over the display grid's depth, from the front; names of PET lesions beside them."""
    images = matched.segmented.aligned.images
    if images.pet is None or view.plane != "coronal":
        return None
    grid = _display_grid(images.ct or images.pet, matched.segmented.aligned.ct_liver)
    volume = resample(images.pet, grid.with_spacing((PIXEL_MM, 2 * PIXEL_MM, PIXEL_MM)))
    image = volume.values.max(axis=1)[:, ::-1].T
    labels = tuple(
        Label(x.lesion_id, *view.place(_shown_at(x)), "PET" if x.nature is Nature.METASTASIS else "benign")
        for x in matched.lesions
        if x.modality is Modality.PET
    )
    drawn = _Outlined((), labels)
    return _panel(view, "PET, maximum", image, (0.0, 1.5 * _pet_top(matched)), drawn, inverted=True)


def _first_mr(aligned: AlignedPair) -> Volume | None:
    roles = _mr_roles(aligned)
    return aligned.images.mr[roles[0]] if roles else None


def _together(matched: MatchedPair, base: Volume) -> list[list[Panel]]:
    """Both examinations in the PET/CT's frame: every outline on every panel."""
    aligned = matched.segmented.aligned
    lesion = _deciding(matched.lesions)
    place = lesion.centre_lps if lesion is not None else None
    rows = []
    for view in _views(base, aligned.ct_liver, place):
        drawn = _outlines(matched, view, with_pet=True, with_mr=True)
        row = [*_pet_panels(matched, view, drawn), *_mr_panels(aligned, view, drawn, together=True)]
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
        for row, view in zip(rows, _views(base, aligned.ct_liver, _shown_at(lesion) if lesion else None), strict=True):
            row += _pet_panels(matched, view, _outlines(matched, view, with_pet=True, with_mr=False))
            projection = projection or _projection(matched, view)
    main = _first_mr(aligned)
    if main is not None:
        lesion = _deciding(matched.lesions, Modality.MR)
        for row, view in zip(rows, _views(main, aligned.mr_liver, lesion.native_lps if lesion else None), strict=True):
            row += _mr_panels(aligned, view, _outlines(matched, view, with_pet=False, with_mr=True), together=False)
    if projection is not None:
        rows[1].append(projection)
    return [row for row in rows if row]


def draw_case(matched: MatchedPair, caption: str, path: Path) -> None:
    """Write the pair's overview.png; a pair without any readable image gets none."""
    aligned = matched.segmented.aligned
    base = aligned.images.ct or aligned.images.pet
    registered = aligned.transform is not None and base is not None and _first_mr(aligned) is not None
    rows = _together(matched, base) if registered and base is not None else _apart(matched, base)
    if rows:
        draw_overview(rows, caption, path)
