"""Prepare a pair's lesion sheet: one row of close-ups for each lesion, PET/CT fused, PET and every MRI sequence.

All panels of a row show one axial plane at one scale. Registered, that plane is in the PET/CT's frame and every
outline is on every panel; else a lesion is shown on the examination that found it, in its own frame.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liverpair.core.geometry import Grid
from liverpair.core.lesion import Lesion, Modality, Nature
from liverpair.core.study import MatchedPair
from liverpair.core.volume import Volume
from liverpair.evaluate.report.overview import Panel, draw_overview
from liverpair.flow.panels import (
    View,
    first_mr,
    mr_panels,
    outlines,
    pet_panels,
    shown_at,
)

__all__ = ["draw_lesion_sheet"]

#: Side of a close-up in mm: a lesion of 6 cm still has liver around it, one of 5 mm is still seen.
SIDE_MM = 90.0
PIXEL_MM = 0.75
#: Rows of a sheet: a liver full of metastases would make a picture of several metres; the largest are shown.
MOST_LESIONS = 16
PANEL_INCHES = (1.9, 1.9)
#: More sequences than this are not put side by side: the page is as wide as it is.
MOST_SEQUENCES = 4


def _view(place: NDArray[np.float64], frame: str) -> View:
    """The axial plane through a place, ``SIDE_MM`` wide."""
    n = round(SIDE_MM / PIXEL_MM)
    affine = np.diag([PIXEL_MM, PIXEL_MM, PIXEL_MM, 1.0])
    affine[:3, 3] = place - np.array([(n - 1) / 2 * PIXEL_MM, (n - 1) / 2 * PIXEL_MM, 0.0])
    return View("axial", Grid((n, n, 1), affine, frame), place)


def _measures(lesion: Lesion, others: dict[str, Lesion]) -> str:
    """Name, size, uptake and partners: "M01 · 17.9 × 14.5 mm · = P02 (SUVmax 24.1, 8.2 × liver)"."""
    m = lesion.measurement
    said = [lesion.lesion_id]
    if m.long_axis_mm is not None:
        short = f" × {m.short_axis_mm:.1f}" if m.short_axis_mm is not None else ""
        said.append(f"{m.long_axis_mm:.1f}{short} mm")
    if uptake := _uptake(lesion):
        said.append(uptake)
    partners = [others[x] for x in lesion.matched if x in others]
    said += [f"= {p.lesion_id}" + (f" ({u})" if (u := _uptake(p)) else "") for p in partners]
    if not partners:
        said.append("no match")
    if lesion.nature is not Nature.METASTASIS:
        said.append(lesion.nature.value.replace("_", " "))
    return " · ".join(said)


def _uptake(lesion: Lesion) -> str:
    m = lesion.measurement
    said = [f"SUVmax {m.suv_max:.1f}"] if m.suv_max is not None else []
    return ", ".join(said + ([f"{m.tlr:.1f} × liver"] if m.tlr is not None else []))


def _rank(lesion: Lesion) -> tuple[bool, float, str]:
    return lesion.nature is not Nature.METASTASIS, -(lesion.measurement.long_axis_mm or 0.0), lesion.lesion_id


def _chosen(lesions: tuple[Lesion, ...]) -> list[Lesion]:
    """Every lesion once, a matched pair by its MRI lesion; metastases first, then by size."""
    on_mr = {x.lesion_id for x in lesions if x.modality is Modality.MR}
    alone = [x for x in lesions if x.modality is Modality.MR or not on_mr & set(x.matched)]
    return sorted(alone, key=_rank)[:MOST_LESIONS]


def _row(matched: MatchedPair, lesion: Lesion, base: Volume | None, main: Volume | None) -> list[Panel]:
    aligned = matched.segmented.aligned
    together = aligned.transform is not None and base is not None and main is not None
    if together and base is not None and lesion.centre_lps is not None:
        view = _view(lesion.centre_lps, base.grid.frame_of_reference)
        drawn = outlines(matched, view, with_pet=True, with_mr=True)
        return [
            *pet_panels(matched, view, drawn),
            *mr_panels(aligned, view, drawn, together=True, most=MOST_SEQUENCES),
        ]
    if lesion.modality is Modality.PET and base is not None:
        view = _view(shown_at(lesion), base.grid.frame_of_reference)
        return pet_panels(matched, view, outlines(matched, view, with_pet=True, with_mr=False))
    if lesion.modality is Modality.MR and main is not None:
        view = _view(lesion.native_lps, main.grid.frame_of_reference)
        drawn = outlines(matched, view, with_pet=False, with_mr=True)
        return mr_panels(aligned, view, drawn, together=False, most=MOST_SEQUENCES)
    return []


def draw_lesion_sheet(matched: MatchedPair, caption: str, path: Path) -> None:
    """Write the pair's lesions.png; a pair without a lesion gets none."""
    images = matched.segmented.aligned.images
    base, main = images.ct or images.pet, first_mr(matched.segmented.aligned)
    chosen, others = _chosen(matched.lesions), {x.lesion_id: x for x in matched.lesions}
    rows = [(_row(matched, lesion, base, main), _measures(lesion, others)) for lesion in chosen]
    shown = [(panels, said) for panels, said in rows if panels]
    if not shown:
        return
    left_out = len(matched.lesions) - len({x for lesion in chosen for x in (lesion.lesion_id, *lesion.matched)})
    more = f" · {left_out} smaller ones not shown" if left_out > 0 else ""
    draw_overview(
        [panels for panels, _ in shown],
        caption + more,
        path,
        row_titles=[said for _, said in shown],
        panel_inches=PANEL_INCHES,
    )
