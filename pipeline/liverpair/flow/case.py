"""One pair from top to bottom: images, livers, registration, lesions, matches, and what is left of it on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

from liverpair.core.provenance import fingerprint, version
from liverpair.core.study import MatchedPair, StudyPair
from liverpair.dicom.nifti import write_nifti
from liverpair.dicom.pair_stacks import StackReference
from liverpair.dicom.records import Stack
from liverpair.flow.alignment import align_pair
from liverpair.flow.config import Settings, case_fingerprint
from liverpair.flow.images import read_images
from liverpair.flow.lesions import find_lesions, measure_and_match
from liverpair.flow.livers import given_masks_digest
from liverpair.flow.pictures import draw_case
from liverpair.flow.record import case_record, failure_record, provenance_record
from liverpair.flow.transform_files import write_transform_files
from liverpair.flow.workspace import Workspace

__all__ = ["CaseTask", "PreparedCase", "case_key", "process_case", "recipe", "record_failure", "run_pair"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class CaseTask:
    """One pair to process, its stacks by reference; ``key`` is the hash of inputs, settings and code."""

    workspace: Path
    pair: StudyPair
    references: Mapping[str, StackReference]
    settings: Settings
    key: str


@dataclass(frozen=True, slots=True, eq=False)
class PreparedCase:
    """A task with its stacks' headers: everything a worker needs."""

    task: CaseTask
    stacks: Mapping[str, Stack]


@cache
def code_fingerprint() -> str:
    """SHA-256 of every module of liverpair: a changed program must not trust an older one's cases."""
    digest = hashlib.sha256(version().encode())
    for package in ("core", "dicom", "register", "segment", "evaluate", "flow"):
        root = resources.files(f"liverpair.{package}")
        for path in sorted(Path(str(root)).rglob("*.py")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


def recipe(settings: Settings) -> str:
    """The hash of what turns images into a case: the settings it depends on and the code."""
    return fingerprint([case_fingerprint(settings), code_fingerprint()])


def case_key(pair: StudyPair, references: Mapping[str, StackReference], settings: Settings) -> str:
    """The hash that says whether a finished case still holds: its frames' headers, the settings and the code."""
    masks = given_masks_digest(settings.backend, (r.series_uid for r in references.values()))
    return fingerprint([pair, {role: r.digest for role, r in references.items()}, masks, recipe(settings)])


def run_pair(pair: StudyPair, stacks: Mapping[str, Stack], settings: Settings) -> MatchedPair:
    """The study's method for one pair, in its order."""
    images = read_images(pair, stacks, settings.suv)
    aligned = align_pair(images, settings)
    segmented = find_lesions(aligned, settings)
    return measure_and_match(segmented, settings)


def process_case(prepared: PreparedCase) -> str:
    """Process a pair and put its folder in place when all of it is there; returns one line for the log."""
    task = prepared.task
    matched = run_pair(task.pair, prepared.stacks, task.settings)
    record = case_record(matched, task.key, recipe(task.settings), task.settings)
    verdicts = f"MRI {record['calls']['mr']['status']}, PET {record['calls']['pet']['status']}".replace("_", " ")
    workspace = Workspace(task.workspace)
    with workspace.building(task.pair.pair_id) as folder:
        _write_images(matched, folder)
        draw_case(matched, _caption(task.pair, verdicts), folder / "overview.png")
        workspace.write_json(
            folder / "provenance.json", provenance_record(matched, prepared.stacks, task.key, task.settings)
        )
        workspace.write_json(folder / "case.json", record)
    return f"{verdicts}, registration {matched.segmented.aligned.verdict}"


def record_failure(workspace: Workspace, task: CaseTask, error: Exception) -> None:
    """Leave a failed case's reason in its folder, so that the tables can name it."""
    with workspace.building(task.pair.pair_id) as folder:
        record = failure_record(task.pair, task.key, recipe(task.settings), error)
        workspace.write_json(
            folder / "provenance.json",
            {"pair_id": task.pair.pair_id, "version": version(), "error": record["error"]},
        )
        workspace.write_json(folder / "case.json", record)


def _caption(pair: StudyPair, verdicts: str) -> str:
    days = f"{pair.interval_days:+d}".replace("-", "−")
    return f"{pair.pair_id} · {pair.tracer} · {days} days from PET/CT to MRI · {verdicts}"


def _write_images(matched: MatchedPair, folder: Path) -> None:
    """Volumes, masks, label maps and the transform of a pair."""
    aligned = matched.segmented.aligned
    volumes = {"ct": aligned.images.ct, "pet_suv": aligned.images.pet}
    volumes |= {role.replace("-", "_"): volume for role, volume in aligned.images.mr.items()}
    masks = {"liver_ct": aligned.ct_liver, "liver_mr": aligned.mr_liver}
    for name, volume in volumes.items():
        if volume is not None:
            write_nifti(volume, folder / f"{name}.nii.gz")
    for name, mask in masks.items():
        if mask is not None:
            write_nifti(mask, folder / f"{name}.nii.gz")
    for name, detection in (("lesions_pet", matched.segmented.pet), ("lesions_mr", matched.segmented.mr)):
        if detection is not None:
            write_nifti(detection.labels, folder / f"{name}.nii.gz")
    if aligned.transform is not None:
        write_transform_files(aligned.transform, folder)
    if aligned.uncertainty is not None:
        write_nifti(aligned.uncertainty, folder / "registration_uncertainty_mm.nii.gz")
