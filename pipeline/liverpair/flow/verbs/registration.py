"""Registration of one image to another, and points through a stored transform."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.core.provenance import canonical_json
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.load import load_image, load_mask
from liverpair.dicom.nifti import write_nifti
from liverpair.flow.alignment import WEAK_ROLES
from liverpair.flow.answer import Answer
from liverpair.flow.commands.shared import FAILED_CASES
from liverpair.flow.config import Settings
from liverpair.flow.liver_settling import Livers, register_livers
from liverpair.flow.livers import find_liver
from liverpair.flow.tables import format_table
from liverpair.flow.transform_files import TRANSFORM_FILES, write_transform_files
from liverpair.flow.workspace import Workspace, write_text
from liverpair.register.resample import resample
from liverpair.register.transform_io import read_transform

__all__ = ["register", "transform_points"]


def read_points(path: Path) -> NDArray[np.float64]:
    """Points from a CSV with the columns x,y,z (LPS mm), shape (n, 3)."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            rows = list(csv.DictReader(stream))
        return np.asarray([[float(row[axis]) for axis in "xyz"] for row in rows], dtype=np.float64).reshape(-1, 3)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path.name} must have the columns x,y,z with numbers (LPS mm) in every row.") from error


def write_points(path: Path, points: NDArray[np.float64]) -> None:
    """Write points (n, 3) in LPS mm as a CSV with the columns x,y,z, whole or not at all."""
    write_text(path, format_table(("x", "y", "z"), [dict(zip("xyz", map(float, p), strict=True)) for p in points]))


def _liver(image: Volume, given: Path | None, role: str, settings: Settings) -> Mask | None:
    """The liver that was given, or the one found here (None where none can be trusted)."""
    if given is not None:
        return load_mask(given, image.grid)
    found = find_liver(image, role, "", settings.liver, settings.backend)
    return found.mask if found.verdict == "usable" else None


def register(
    fixed: Path,
    moving: Path,
    output: Path,
    masks: tuple[Path | None, Path | None],
    points: Path | None,
    moving_role: str,
    settings: Settings,
) -> Answer:
    """Register; write moved.nii.gz, the transform and its inverse, quality.json and, with points, points_moving.csv."""
    ct, mr = load_image(fixed), load_image(moving)
    given = read_points(points) if points is not None else None
    livers = Livers(
        _liver(ct, masks[0], "ct", settings),
        _liver(mr, masks[1], moving_role, settings),
        masks[0] is None and settings.backend.ct == "classical",
        masks[1] is None and settings.backend.mr == "classical",
        moving_role in WEAK_ROLES,
    )
    together = register_livers(ct, mr, livers, settings.register, settings.agreement)
    found = together.registration
    output.mkdir(parents=True, exist_ok=True)
    for name in (*TRANSFORM_FILES, "moved.nii.gz", "points_moving.csv"):
        (output / name).unlink(missing_ok=True)  # an earlier run's result must not stand beside this one's verdict
    quality = {"verdict": found.verdict, "reasons": list(found.reasons), **found.quality}
    quality["liver_agreement"] = together.facts
    write_text(output / "quality.json", canonical_json(quality, indent=1) + "\n")
    if found.transform is None:
        reasons = ", ".join(found.reasons)
        return Answer(quality, f"Registration failed ({reasons}); no transform is written.", FAILED_CASES)
    write_nifti(resample(mr, ct.grid, found.transform), output / "moved.nii.gz")
    write_transform_files(found.transform, output)
    if given is not None:
        write_points(output / "points_moving.csv", found.transform.to_moving(given))
    return Answer(quality, f"Registration {found.verdict}; see {output / 'quality.json'}.")


def transform_points(ws: Path, pair_id: str, points: Path, output: Path, to: str) -> Answer:
    """Map points between the PET/CT and the MRI of a processed pair."""
    if to not in ("mr", "pet"):
        raise UsageError(f"--to must be mr or pet, not {to!r}.")
    folder = Workspace.existing(ws).case(pair_id)
    stored = folder / "transform.h5"
    if not stored.exists():
        why = "its registration failed" if folder.exists() else "it is not a processed pair"
        raise UsageError(f"{pair_id} has no transform: {why}.")
    transform = read_transform(stored)
    given = read_points(points)
    write_points(output, transform.to_moving(given) if to == "mr" else transform.to_fixed(given))
    return Answer({"points": len(given)}, f"{output}: {len(given)} points.")
