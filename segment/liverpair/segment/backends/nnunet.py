"""Any trained nnU-Net v2 model folder as a liver backend: the real predictor, in this process, without network use.

A checkpoint is a Python pickle and can run code when it is loaded: use models of sources you trust. The SHA-256 of
every checkpoint used stands in the facts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.core.volume import Volume
from liverpair.segment.backends.axes import AxisOrder, axis_order
from liverpair.segment.backends.nnunet_folder import ModelFolder, read_model_folder
from liverpair.segment.backends.packages import (
    environment,
    file_digest,
    guarded,
    mend_torchvision,
    require,
    steady_torch,
    version_of,
)
from liverpair.segment.backends.protocol import finished
from liverpair.segment.liver import LiverSegmentation
from liverpair.segment.liver_quality import QualityLimits

__all__ = ["NnunetBackend"]

EXTRA = "nnunet"
#: A DICOM axial stack's own order, and that of most files made from one.
DICOM_AXES = "LPS"
#: Every spatial axis: a model that is evaluated mirrored along all of them was trained to see no left and right.
ALL_AXES = {0, 1, 2}


@dataclass(frozen=True, slots=True)
class NnunetBackend:
    """A model folder ``Dataset…/Trainer__Plans__Configuration`` with its checkpoints.

    ``labels``: the names (of its dataset.json) that together are the liver. ``roles``: which images it is for; () goes
    by the channel's name ("CT" is for "ct", any other for MR). ``axes``: the array order that it was trained on
    ("RAS", "LPS", …), needed where its reader keeps each file's own order and it was not trained on mirror images.
    ``device``: cpu | cuda | cuda:N | mps. ``threads``: fixed, so that sums keep their order.
    """

    model: Path
    labels: tuple[str, ...] = ("liver",)
    roles: tuple[str, ...] = ()
    axes: str = ""
    folds: tuple[str, ...] = ()
    checkpoint: str = "checkpoint_final.pth"
    device: str = "cpu"
    threads: int = 1
    mirroring: bool = False
    tile_step: float = 0.5
    quality: QualityLimits = field(default_factory=QualityLimits)
    name: str = "nnunet"

    def prepare(self, role: str) -> None:
        """Check the folder, its labels, its kind of image and the package; UsageError says what is wrong and where."""
        self._check_role(self._folder(), role)
        self._packages()

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The liver that the model finds; ``pet`` is not used.

        Raises UsageError (package, weights, label or role do not fit) and Refusal("backend_failed").
        """
        folder = self._folder()
        self._check_role(folder, role)
        torch, inference = self._packages()
        with guarded("nnU-Net"), environment({"nnUNet_compile": "f"}), steady_torch(torch, self.threads):
            predictor = self._predictor(torch, inference, folder)
            order, assumed = self._order(image, folder, predictor)
            found = self._predict(predictor, image, order)
        values = np.isin(order.undo(found), folder.values_of(self.labels))
        answer = finished(values, image, self.quality, self._facts(folder, role))
        if not assumed:
            return answer
        reasons = (*answer.reasons, "axes_assumed")
        return LiverSegmentation(answer.mask, answer.verdict, reasons, answer.volume_ml, answer.facts)

    def _folder(self) -> ModelFolder:
        folder = read_model_folder(self.model, self.folds, self.checkpoint)
        folder.values_of(self.labels)
        if len(folder.channels) != 1:
            raise UsageError(
                f"the model in {self.model} wants {len(folder.channels)} images ({', '.join(folder.channels)}); "
                "liverpair gives one"
            )
        return folder

    def _packages(self) -> tuple[Any, Any]:
        # nnU-Net reads these once, when it is first imported; without the three folders it prints complaints
        with environment({"nnUNet_def_n_proc": str(self.threads)}):
            torch = require("torch", "torch", EXTRA)
            with guarded("nnU-Net's import"):
                mend_torchvision(torch)
                return torch, require("nnunetv2.inference.predict_from_raw_data", "nnunetv2", EXTRA)

    def _check_role(self, folder: ModelFolder, role: str) -> None:
        is_ct = folder.channels[0].strip().upper() == "CT"
        fits = role in self.roles if self.roles else (role == "ct") == is_ct
        if not fits:
            meant = ", ".join(self.roles) or ("ct" if is_ct else "MR")
            raise UsageError(
                f"the model in {self.model} is for {meant} (its channel is {folder.channels[0]!r}), not for {role!r}; "
                "name the images it is for in roles, or choose another backend for them"
            )

    def _predictor(self, torch: Any, inference: Any, folder: ModelFolder) -> Any:
        predictor = inference.nnUNetPredictor(
            tile_step_size=self.tile_step,
            use_gaussian=True,
            use_mirroring=self.mirroring,
            perform_everything_on_device=self.device != "cpu",
            device=torch.device(self.device),
            allow_tqdm=False,
        )
        torch.backends.cudnn.benchmark = False  # the constructor turns it on
        folds = tuple(int(fold) if fold.isdigit() else fold for fold in folder.folds)
        predictor.initialize_from_trained_model_folder(str(self.model), folds, self.checkpoint)
        if predictor.configuration_manager.previous_stage_name is not None:
            raise UsageError(f"the model in {self.model} is a cascade's second stage; give a one-stage configuration")
        return predictor

    def _order(self, image: Volume, folder: ModelFolder, predictor: Any) -> tuple[AxisOrder, bool]:
        """The array order the network shall see, and whether it is an assumption."""
        axes = folder.axes or self.axes
        if axes:
            return axis_order(image.grid, axes), False
        if set(predictor.allowed_mirroring_axes or ()) != ALL_AXES:
            raise UsageError(
                f"the model in {self.model} keeps the array order of its training files and was not trained on mirror "
                "images; say which order those files had in axes (RAS for most public NIfTI sets, LPS for DICOM)"
            )
        return axis_order(image.grid, DICOM_AXES), True

    @staticmethod
    def _predict(predictor: Any, image: Volume, order: AxisOrder) -> NDArray[Any]:
        """Label values [i, j, k] in the network's order; nnU-Net itself wants (channel, k, j, i) and steps likewise."""
        values = order.apply(image.values).transpose(2, 1, 0)[None]
        steps = [float(step) for step in order.spacing(image.grid)[::-1]]
        found = predictor.predict_single_npy_array(np.ascontiguousarray(values), {"spacing": steps})
        return np.asarray(found).transpose(2, 1, 0)

    def _facts(self, folder: ModelFolder, role: str) -> dict[str, Any]:
        return {
            "backend": self.name,
            "role": role,
            "model": folder.path.name,
            "labels": list(self.labels),
            "model_labels": list(folder.labels),
            "folds": list(folder.folds),
            "weights_sha256": [file_digest(path) for path in folder.checkpoints],
            "versions": {package: version_of(package) for package in ("nnunetv2", "torch")},
            "device": self.device,
        }
