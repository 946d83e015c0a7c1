"""Prepare a pair's overview: the same place cut from PET/CT and MRI, axial and coronal, at the lesion that decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.lesion import Lesion, Modality, Nature
from liverpair.core.study import MatchedPair
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import LabelMap, Mask, Volume
from liverpair.evaluate.report.overview import Contour, Panel, draw_overview
from liverpair.register.resample import resample, resample_mask

__all__ = ["draw_case"]

#: Pixel size of the pictures and the margin around the liver.
PIXEL_MM = 1.5
MARGIN_MM = 25.0
CT_WINDOW = (-60.0, 160.0)


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """What one examination contributes: an image resampled onto the display grid and the regions to outline."""

    title: str
    volume: Volume
    window: tuple[float, float]
    regions: tuple[tuple[NDArray[np.bool_], str], ...]
    overlay: NDArray[np.float32] | None = None
    overlay_window: tuple[float, float] = (0.0, 1.0)
    inverted: bool = False


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


def _window(values: NDArray[np.float32]) -> tuple[float, float]:
    """A window that shows the middle 98 % of what is not background."""
    shown = values[values > 0]
    if shown.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(shown, [1, 99])
    return float(low), float(max(high, low + 1e-6))


def _regions(
    labels: LabelMap | None, natures: dict[int, str], grid: Grid, transform: SpatialTransform | None
) -> list[tuple[NDArray[np.bool_], str]]:
    """One mask per kind of lesion of a label map, on the display grid."""
    if labels is None:
        return []
    found = []
    for kind in sorted(set(natures.values())):
        chosen = [label for label, k in natures.items() if k == kind]
        region = Mask(np.isin(labels.values, chosen), labels.grid)
        found.append((resample_mask(region, grid, transform).values, kind))
    return found


def _kinds(matched: MatchedPair, modality: Modality) -> dict[int, str]:
    """The outline's kind of every label: benign foci are drawn apart."""
    detection = matched.segmented.pet if modality is Modality.PET else matched.segmented.mr
    if detection is None:
        return {}
    return {c.label: modality.value if c.nature is Nature.METASTASIS else "benign" for c in detection.candidates}


def _scenes(matched: MatchedPair) -> list[_Scene]:
    aligned = matched.segmented.aligned
    images = aligned.images
    base = images.ct or images.pet
    scenes: list[_Scene] = []
    mr_kinds, pet_kinds = _kinds(matched, Modality.MR), _kinds(matched, Modality.PET)
    mr_labels = matched.segmented.mr.labels if matched.segmented.mr else None
    pet_labels = matched.segmented.pet.labels if matched.segmented.pet else None
    if base is not None:
        grid = _display_grid(base, aligned.ct_liver)
        regions = [(resample_mask(aligned.ct_liver, grid).values, "liver")] if aligned.ct_liver else []
        regions += _regions(pet_labels, pet_kinds, grid, None)
        if aligned.transform is not None:
            regions += _regions(mr_labels, mr_kinds, grid, aligned.transform)
        pet = resample(images.pet, grid).values if images.pet else None
        top = _pet_top(matched)
        if images.ct is not None:
            ct = resample(images.ct, grid, fill=-1000)
            scenes.append(_Scene("PET/CT", ct, CT_WINDOW, tuple(regions), pet, (0.15 * top, top)))
        if images.pet is not None:
            scenes.append(_Scene("PET", resample(images.pet, grid), (0.0, top), tuple(regions), inverted=True))
    scenes += _mr_scenes(matched, mr_labels, mr_kinds, pet_labels, pet_kinds)
    return scenes


def _pet_top(matched: MatchedPair) -> float:
    """The PET window's upper end: three times the liver, so that a lesion stands out and the liver is still seen."""
    reference = matched.segmented.reference
    if reference is not None:
        return 3.0 * reference.mean
    pet = matched.segmented.aligned.images.pet
    return float(np.percentile(pet.values, 99.7)) if pet is not None else 1.0


def _mr_scenes(
    matched: MatchedPair,
    mr_labels: LabelMap | None,
    mr_kinds: dict[int, str],
    pet_labels: LabelMap | None,
    pet_kinds: dict[int, str],
) -> list[_Scene]:
    """The main sequence and one more, moved onto the PET/CT where the registration may be used, else where they are."""
    aligned = matched.segmented.aligned
    images = aligned.images
    base = images.ct or images.pet
    together = aligned.transform is not None and base is not None
    main = aligned.quality.get("main_sequence")
    roles = [r for r in (main, "mr-dwi", "mr-t2") if r in images.mr]
    scenes = []
    for role in list(dict.fromkeys(roles))[:2]:
        volume = images.mr[role]
        if together and base is not None:
            grid, transform = _display_grid(base, aligned.ct_liver), aligned.transform
            liver = aligned.mr_liver
            title = f"{role.removeprefix('mr-').upper()} on PET/CT"
        else:
            grid, transform, liver = (
                _display_grid(images.mr[roles[0]], aligned.mr_liver),
                None,
                aligned.mr_liver,
            )
            title = f"{role.removeprefix('mr-').upper()} (not registered)"
        moved = resample(volume, grid, transform)
        regions = [(resample_mask(liver, grid, transform).values, "liver")] if liver else []
        regions += _regions(mr_labels, mr_kinds, grid, transform)
        if together:
            regions += _regions(pet_labels, pet_kinds, grid, None)
        scenes.append(_Scene(title, moved, _window(moved.values), tuple(regions)))
    return scenes


def _deciding(lesions: tuple[Lesion, ...], modality: Modality | None = None) -> Lesion | None:
    """The lesion to show: the largest unmatched metastasis on MRI, else the largest at all."""
    candidates = [x for x in lesions if x.nature is Nature.METASTASIS and (modality is None or x.modality is modality)]
    if not candidates:
        return None

    def rank(lesion: Lesion) -> tuple[bool, bool, float, str]:
        size = lesion.measurement.long_axis_mm or 0.0
        return lesion.modality is Modality.MR, not lesion.matched, size * lesion.confidence, lesion.lesion_id

    return max(candidates, key=rank)


def _cut(scene: _Scene, index: NDArray[np.int64], plane: str) -> Panel:
    """One slice through a scene: axial as radiologists look at it (from the feet), coronal from the front."""

    def slice_of(values: NDArray[Any]) -> NDArray[Any]:
        if plane == "axial":
            return values[:, :, index[2]].T
        return values[:, index[1], ::-1].T

    contours = tuple(Contour(slice_of(mask), kind) for mask, kind in scene.regions)
    overlay = slice_of(scene.overlay) if scene.overlay is not None else None
    return Panel(
        f"{scene.title}, {plane}",
        slice_of(scene.volume.values),
        scene.window,
        contours,
        overlay,
        scene.overlay_window,
        scene.inverted,
    )


def _focus(matched: MatchedPair, scene: _Scene) -> NDArray[np.int64]:
    """The voxel of the display grid to cut through: the deciding lesion, else the liver's middle."""
    registered = matched.segmented.aligned.transform is not None
    on_mr = "not registered" in scene.title
    lesion = _deciding(matched.lesions, None if registered else (Modality.MR if on_mr else Modality.PET))
    place = None
    if lesion is not None:
        place = lesion.native_lps if on_mr else lesion.centre_lps
    if place is None:
        liver = next((mask for mask, kind in scene.regions if kind == "liver" and mask.any()), None)
        middle = np.argwhere(liver).mean(axis=0) if liver is not None else np.asarray(scene.volume.grid.shape) / 2
        place = scene.volume.grid.to_world(middle)
    index = np.rint(scene.volume.grid.to_index(place)).astype(np.int64)
    return np.clip(index, 0, np.asarray(scene.volume.grid.shape) - 1)


def draw_case(matched: MatchedPair, caption: str, path: Path) -> None:
    """Write the pair's overview.png; a pair without any readable image gets none."""
    scenes = _scenes(matched)
    if not scenes:
        return
    rows = [[_cut(scene, _focus(matched, scene), plane) for scene in scenes] for plane in ("axial", "coronal")]
    draw_overview(rows, caption, path)
