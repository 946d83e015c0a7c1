"""Cut a plane from every image of a pair and put outlines and names on it: the panels of a pair's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.lesion import Detection, Lesion, Modality, Nature
from liverpair.core.study import AlignedPair, MatchedPair
from liverpair.core.transform import SpatialTransform
from liverpair.core.volume import Mask, Volume
from liverpair.evaluate.report.overview import Contour, Label, Panel
from liverpair.register.resample import resample, resample_labels, resample_mask

__all__ = [
    "CT_WINDOW", "Outlined", "View", "cut", "first_mr", "mr_panels", "mr_roles", "outlines", "panel", "pet_panels",
    "pet_top", "shown_at", "window_of",
]  # fmt: skip

CT_WINDOW = (-60.0, 160.0)
#: Sequences beside the main one on an overview: the page is as wide as it is.
SEQUENCES = 2


@dataclass(frozen=True, slots=True, eq=False)
class View:
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
class Outlined:
    """What is outlined on every panel of a view."""

    contours: tuple[Contour, ...]
    labels: tuple[Label, ...]


def window_of(volume: Volume) -> tuple[float, float]:
    """A window that shows the middle 98 % of what is not background."""
    shown = volume.values[::2, ::2, ::2]
    shown = shown[shown > 0]
    if shown.size == 0:
        return 0.0, 1.0
    low, high = np.percentile(shown, [1, 99])
    return float(low), float(max(high, low + 1e-6))


def pet_top(matched: MatchedPair) -> float:
    """The PET window's upper end: three times the liver, so that a lesion stands out and the liver is still seen."""
    reference = matched.segmented.reference
    if reference is not None:
        return 3.0 * reference.mean
    pet = matched.segmented.aligned.images.pet
    return float(np.percentile(pet.values, 99.7)) if pet is not None else 1.0


def shown_at(lesion: Lesion) -> NDArray[np.float64]:
    """Where the pair's volumes show a lesion: a PET put back onto its CT no longer shows it where it was."""
    if lesion.modality is Modality.PET and lesion.centre_lps is not None:
        return lesion.centre_lps
    return lesion.native_lps


def _kinds(detection: Detection, lesions: Sequence[Lesion], modality: Modality) -> dict[int, tuple[str, str]]:
    """Label → (outline's kind, lesion's name); benign foci are drawn apart, unmeasured ones have no name."""
    names = [(shown_at(x), x.lesion_id) for x in lesions if x.modality is modality]
    found = {}
    for c in detection.candidates:
        name = next((n for place, n in names if np.array_equal(place, c.centre_lps)), "")
        found[c.label] = (modality.value if c.nature is Nature.METASTASIS else "benign", name)
    return found


def _lesions_on(
    view: View, detection: Detection | None, kinds: dict[int, tuple[str, str]], transform: SpatialTransform | None
) -> Outlined:
    """The outlines of a detection's regions on a view, and their names at the regions' middles."""
    if detection is None:
        return Outlined((), ())
    cut = view.flat(resample_labels(detection.labels, view.grid, transform).values)
    contours, labels = [], []
    for kind in sorted({k for k, _ in kinds.values()}):
        chosen = [label for label, (k, _) in kinds.items() if k == kind]
        contours.append(Contour(np.isin(cut, chosen), kind))
    for label, (kind, name) in sorted(kinds.items()):
        rows, columns = np.nonzero(cut == label)
        if name and rows.size:
            labels.append(Label(name, float(columns.max()), float(rows.max()), kind))
    return Outlined(tuple(contours), tuple(labels))


def _liver_on(view: View, liver: Mask | None, kind: str, transform: SpatialTransform | None) -> tuple[Contour, ...]:
    if liver is None:
        return ()
    return (Contour(view.flat(resample_mask(liver, view.grid, transform).values), kind),)


def outlines(matched: MatchedPair, view: View, with_pet: bool, with_mr: bool) -> Outlined:
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
    return Outlined(contours, labels)


def panel(
    view: View, title: str, image: NDArray[np.float32], window: tuple[float, float], drawn: Outlined, **more: Any
) -> Panel:
    return Panel(
        f"{title}, {view.plane}",
        image,
        window,
        drawn.contours,
        labels=drawn.labels,
        cross=view.place(view.focus),
        sides=("R", "L"),
        pixel_mm=float(view.grid.spacing[0]),
        **more,
    )


def cut(view: View, volume: Volume, transform: SpatialTransform | None = None, fill: float = 0.0) -> Any:
    """The view's plane of a volume, as a picture."""
    return view.flat(resample(volume, view.grid, transform, fill=fill).values)


def pet_panels(matched: MatchedPair, view: View, drawn: Outlined) -> list[Panel]:
    """PET over CT, and PET alone."""
    images, top = matched.segmented.aligned.images, pet_top(matched)
    pet = cut(view, images.pet) if images.pet is not None else None
    panels = []
    if images.ct is not None:
        ct = cut(view, images.ct, fill=-1000)
        title = "CT" if pet is None else "PET/CT"
        panels.append(panel(view, title, ct, CT_WINDOW, drawn, overlay=pet, overlay_window=(0.15 * top, top)))
    if pet is not None:
        panels.append(panel(view, "PET", pet, (0.0, top), drawn, inverted=True))
    return panels


def mr_roles(aligned: AlignedPair, most: int = SEQUENCES) -> list[str]:
    """The main sequence and the most telling of the others, ``most`` in all."""
    wanted = (aligned.quality.get("main_sequence"), "mr-dwi", "mr-t2", "mr-hbp")
    roles = [r for r in (*wanted, *sorted(aligned.images.mr)) if r in aligned.images.mr]
    return list(dict.fromkeys(r for r in roles if r))[:most]


def mr_panels(aligned: AlignedPair, view: View, drawn: Outlined, together: bool, most: int = SEQUENCES) -> list[Panel]:
    """One panel for each of up to ``most`` sequences."""
    transform = aligned.transform if together else None
    where = "on PET/CT" if together else "(not registered)"
    panels = []
    for role in mr_roles(aligned, most):
        volume = aligned.images.mr[role]
        title = f"{role.removeprefix('mr-').upper()} {where}"
        panels.append(panel(view, title, cut(view, volume, transform), window_of(volume), drawn))
    return panels


def first_mr(aligned: AlignedPair) -> Volume | None:
    """The main sequence."""
    roles = mr_roles(aligned)
    return aligned.images.mr[roles[0]] if roles else None
