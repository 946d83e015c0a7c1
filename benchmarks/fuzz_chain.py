"""Take one file through everything that reads files: index, split, roles, pairing, geometry, SUV, pixels, regions."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from liverpair.core.errors import LiverpairError, Refusal
from liverpair.core.geometry import Grid
from liverpair.core.volume import Volume
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.cohort import build_cohort
from liverpair.dicom.geometry import has_plane
from liverpair.dicom.load import Labels, load_image, load_labels
from liverpair.dicom.nifti import is_nifti
from liverpair.dicom.read import read_headers, read_stack
from liverpair.dicom.records import SeriesRecord, Stack
from liverpair.dicom.roles import classify
from liverpair.dicom.split import split
from liverpair.dicom.suv import suv_factors

__all__ = ["Outcome", "exercise"]

REGION_MODALITIES: Final = ("SEG", "RTSTRUCT")
IMAGE_MODALITIES: Final = ("CT", "MR", "PT", "NM")
#: Reasons that hide a resource run dry behind a refusal: the file should have been refused before.
EXHAUSTED: Final = ("MemoryError",)


@dataclass
class Outcome:
    """What became of one file: counted results by code, and findings (what must not happen)."""

    codes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    trace: str = ""

    def finding(self, text: str, trace: str = "") -> None:
        """Note something that must not happen."""
        self.findings.append(text)
        self.trace = self.trace or trace


def _like() -> Grid:
    affine = np.diag([1.5, 2.0, 5.0, 1.0])
    affine[:3, 3] = (-10, -20, 0)
    return Grid((20, 24, 6), affine, "")


def _guarded(outcome: Outcome, step: str, work: Callable[[], Any]) -> Any:
    """The result of one step; a refusal is counted, any other exception is a finding."""
    try:
        return work()
    except LiverpairError as error:
        code = error.reason if isinstance(error, Refusal) else type(error).__name__
        outcome.codes.append(f"{step}: {code}")
        if any(word in str(error) for word in EXHAUSTED):
            outcome.finding(f"{step}: {error}", traceback.format_exc())
    except BaseException as error:  # noqa: BLE001 - anything but a refusal is what we look for
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        outcome.finding(f"{step}: {type(error).__name__} in {place}", traceback.format_exc())
    return None


def _indexed(outcome: Outcome, path: Path, catalogue: Catalogue) -> list[SeriesRecord]:
    """What the index makes of the file; all it holds must be kept or have a reason."""
    catalogue.update([path])
    series, exclusions = catalogue.series(), catalogue.exclusions()
    if not series and not exclusions:
        outcome.finding("index: the file is neither in the index nor excluded")
    outcome.codes += ["index: kept"] * bool(series)
    for exclusion in exclusions:
        outcome.codes.append(f"index: {exclusion.reason}")
        if any(word in exclusion.detail for word in EXHAUSTED):
            outcome.finding(f"index: {exclusion.reason} ({exclusion.detail})")
    return list(series)


def _check_volume(outcome: Outcome, step: str, volume: Volume | None, *, may_exist: bool) -> None:
    if volume is None:
        return
    outcome.codes.append(f"{step}: read")
    if not may_exist:
        outcome.finding(f"{step}: a file that was cut inside its pixels gave a volume")
    if not np.isfinite(volume.values).all():
        outcome.finding(f"{step}: the volume holds values that are no finite numbers")


def _stacks(outcome: Outcome, series: SeriesRecord) -> Iterator[Stack]:
    for stack in _guarded(outcome, "split", lambda: split(series)) or ():
        _guarded(outcome, "role", partial(classify, stack))
        if series.first("Modality") in IMAGE_MODALITIES and all(has_plane(frame) for frame in stack.instances):
            yield stack


def _check_pet(outcome: Outcome, stack: Stack) -> None:
    headers = _guarded(outcome, "headers", lambda: read_headers(stack))
    if headers and stack.first("Modality") == "PT":
        result = _guarded(outcome, "suv", lambda: suv_factors(headers))
        if result is not None:
            outcome.codes.append(f"suv: {result.reason or result.status}")
            factors = np.array(result.factor or (), dtype=np.float64)
            if not np.all(np.isfinite(factors)) or np.any(factors <= 0):
                outcome.finding("suv: a factor that is not a positive number")
            _guarded(outcome, "suv json", lambda: json.dumps(result.as_json(), allow_nan=False))


def _read_dicom(outcome: Outcome, path: Path, catalogue: Catalogue, *, may_exist: bool) -> None:
    all_series = _guarded(outcome, "index", lambda: _indexed(outcome, path, catalogue)) or []
    if all_series:
        _guarded(outcome, "cohort", lambda: build_cohort(all_series))
    for series in all_series:
        for stack in _stacks(outcome, series):
            _check_pet(outcome, stack)
            volume = _guarded(outcome, "volume", partial(read_stack, stack))
            _check_volume(outcome, "volume", volume, may_exist=may_exist)
        if series.first("Modality") in REGION_MODALITIES:
            _read_regions(outcome, path, may_exist=may_exist)


def _volume_of(labels: Labels, number: int) -> float:
    return labels.masks[number].volume_ml


def _read_regions(outcome: Outcome, path: Path, *, may_exist: bool) -> None:
    for step, like in (("regions", None), ("regions on a grid", _like())):
        labels = _guarded(outcome, step, partial(load_labels, path, like))
        if labels is not None:
            outcome.codes.append(f"{step}: read")
            for number in labels.masks:
                _guarded(outcome, step, partial(_volume_of, labels, number))
            _guarded(outcome, f"{step}: map", labels.label_map)
            if not may_exist:
                outcome.finding(f"{step}: a file that was cut inside its pixels gave regions")


def exercise(path: Path, catalogue: Catalogue, *, may_exist: bool = True) -> Outcome:
    """Read the file in every way there is; ``catalogue`` forgets what it held before.

    ``may_exist`` False says that no volume can rightly come of it (it was cut inside its pixels).
    """
    outcome = Outcome()
    if is_nifti(path):
        volume = _guarded(outcome, "nifti", lambda: load_image(path))
        _check_volume(outcome, "nifti", volume, may_exist=may_exist)
        _guarded(outcome, "nifti labels", lambda: load_labels(path))
        _guarded(outcome, "nifti labels on a grid", lambda: load_labels(path, _like()))
    else:
        _read_dicom(outcome, path, catalogue, may_exist=may_exist)
    return outcome
