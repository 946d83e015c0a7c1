"""Read what an nnU-Net v2 model folder says about itself, without nnU-Net: labels, channels, axes, folds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError

__all__ = ["ModelFolder", "read_model_folder"]

#: nnU-Net's reader that turns every image to RAS before the network sees it; the others keep the file's own order.
REORIENTING_READER = "NibabelIOWithReorient"
#: Readers of medical volumes; a model trained from pictures (PNG, TIFF) has no use here.
VOLUME_READERS = (REORIENTING_READER, "NibabelIO", "SimpleITKIO", "SimpleITKIOWithReorient")


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A trained model: ``<folder>/plans.json``, ``dataset.json``, ``fold_N/<checkpoint>``.

    ``labels`` maps a name to its values in the prediction; ``channels`` names the inputs; ``axes`` is the order
    that the model's reader guarantees ("" where it keeps each file's own); ``checkpoints`` are the folds' files.
    """

    path: Path
    labels: dict[str, tuple[int, ...]]
    channels: tuple[str, ...]
    axes: str
    folds: tuple[str, ...]
    checkpoints: tuple[Path, ...]

    def values_of(self, names: tuple[str, ...]) -> tuple[int, ...]:
        """The prediction's values of the named labels, whatever their numbers; UsageError for an unknown name."""
        known = {name.lower(): values for name, values in self.labels.items()}
        unknown = [name for name in names if name.lower() not in known]
        if unknown or not names:
            listing = ", ".join(self.labels) or "none"
            raise UsageError(
                f"the model in {self.path} has no label {', '.join(unknown) or '(none was named)'}; "
                f"name those that make up the liver, lesions inside included, of: {listing}"
            )
        return tuple(sorted({value for name in names for value in known[name.lower()]}))


def read_model_folder(path: Path, folds: tuple[str, ...], checkpoint: str) -> ModelFolder:
    """What the model at ``path`` is; ``folds`` () takes every fold that has ``checkpoint``.

    Raises UsageError: no folder, not a model folder (naming those below it), files missing, a cascade's second stage,
    an nnU-Net v1 model.
    """
    if not path.is_dir():
        raise UsageError(f"there is no nnU-Net model folder {path}; give the one that holds plans.json and fold_0")
    missing = [name for name in ("plans.json", "dataset.json") if not (path / name).is_file()]
    if missing:
        raise UsageError(f"{path} is no nnU-Net v2 model folder: {' and '.join(missing)} missing{_nearby(path)}")
    plans, dataset = _json(path / "plans.json"), _json(path / "dataset.json")
    channels = dataset.get("channel_names", dataset.get("modality"))
    if not isinstance(dataset.get("labels"), dict) or "configurations" not in plans or not isinstance(channels, dict):
        raise UsageError(f"the model in {path} is not of nnU-Net v2 (its plans.json or dataset.json lacks its keys)")
    chosen = _folds(path, folds, checkpoint)
    return ModelFolder(
        path,
        _labels(dataset["labels"], path),
        tuple(str(channels[key]) for key in sorted(channels, key=int)),
        _axes(dataset.get("overwrite_image_reader_writer") or plans.get("image_reader_writer", ""), path),
        chosen,
        tuple(path / f"fold_{fold}" / checkpoint for fold in chosen),
    )


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON ({type(error).__name__}); copy the model anew") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no JSON object; copy the model anew")
    return content


def _nearby(path: Path) -> str:
    below = sorted(str(found.parent.relative_to(path)) for found in path.glob("*/plans.json"))
    below += sorted(str(found.parent.relative_to(path)) for found in path.glob("*/*/plans.json"))
    return f"; did you mean one below it: {', '.join(below)}?" if below else ""


def _labels(labels: dict[str, Any], path: Path) -> dict[str, tuple[int, ...]]:
    """Values by label name; a region of several values (nested training) is their union."""
    try:
        values = {
            str(name): tuple(int(v) for v in (value if isinstance(value, list) else [value]))
            for name, value in labels.items()
        }
    except (TypeError, ValueError) as error:
        raise UsageError(f"the labels in {path / 'dataset.json'} are no names with numbers (nnU-Net v1?)") from error
    return {name: value for name, value in values.items() if name not in ("background", "ignore")}


def _axes(reader: str, path: Path) -> str:
    if reader not in VOLUME_READERS:
        raise UsageError(f"the model in {path} reads with {reader or 'an unnamed reader'}, which reads no volumes")
    return "RAS" if reader == REORIENTING_READER else ""


def _folds(path: Path, folds: tuple[str, ...], checkpoint: str) -> tuple[str, ...]:
    present = sorted(file.parent.name.removeprefix("fold_") for file in path.glob(f"fold_*/{checkpoint}"))
    numbered = tuple(fold for fold in present if fold.isdigit())
    chosen = folds or numbered or tuple(present)
    missing = [fold for fold in chosen if fold not in present]
    if missing or not chosen:
        wanted = ", ".join(f"fold_{fold}/{checkpoint}" for fold in missing) or f"fold_*/{checkpoint}"
        raise UsageError(
            f"weights are missing in the model folder {path}: {wanted}"
            + (f" (there are folds {', '.join(present)})" if present else "")
            + "; nothing is downloaded: copy the trained model there"
        )
    return chosen
