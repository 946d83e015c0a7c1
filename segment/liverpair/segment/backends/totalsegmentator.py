"""TotalSegmentator as a liver backend: its own Python interface, kept from the network and from the home folder.

Left alone, TotalSegmentator (2.18) posts usage statistics after every run, writes an identity and a counter to
~/.totalsegmentator/config.json, downloads weights that it does not find, and deletes weights of earlier versions
beside them. Here it gets a home folder of its own for the time of the call with the statistics off, and its download
function is replaced by a check; weights come over the network only with ``allow_download``.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import UsageError
from liverpair.core.volume import Volume
from liverpair.segment.backends.axes import AxisOrder, axis_order
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

__all__ = ["TotalSegmentatorBackend"]

PACKAGE, EXTRA = "TotalSegmentator", "totalsegmentator"
LABEL = "liver"
CT_TASK, MR_TASK = "total", "total_mr"
#: The rough model that finds where to look, by task: a number inside TotalSegmentator's own program, in no table of it.
CROP_MODELS = {CT_TASK: 298, MR_TASK: 852}
#: Where in a model's folder its weights lie.
CHECKPOINTS = "*/fold_*/checkpoint_final.pth"
#: Variables that TotalSegmentator sets for nnU-Net and leaves behind.
LEFT_BEHIND = ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")
#: TotalSegmentator rounds intensities to whole numbers when it resamples; an MRI scaled to 0…1 would become black.
MR_LEVELS = 1000.0
#: The bright end of an MRI without its few brightest voxels (vessels, artefacts).
BRIGHT_PERCENTILE = 99.5
PRIVATE_CONFIG = {
    "totalseg_id": "liverpair",
    "send_usage_stats": False,
    "prediction_counter": 0,
    "statistics_disclaimer_shown": True,
}


@dataclass(frozen=True, slots=True)
class TotalSegmentatorBackend:
    """Task "total" for CT and "total_mr" for MR; only the models that the liver needs are run.

    ``weights``: the folder with the Dataset… folders; None looks where TotalSegmentator itself does
    ($TOTALSEG_WEIGHTS_PATH, $TOTALSEG_HOME_DIR or ~/.totalsegmentator). ``fast``: its 3 mm model instead of 1.5 mm.
    ``device``: cpu | gpu | gpu:N | mps. ``allow_download``: fetch missing weights over the network.
    """

    weights: Path | None = None
    fast: bool = False
    device: str = "cpu"
    threads: int = 1
    allow_download: bool = False
    quality: QualityLimits = field(default_factory=QualityLimits)
    name: str = "totalsegmentator"

    def prepare(self, role: str) -> None:
        """Check the package and the weights of the models for that kind of image; UsageError says what is missing."""
        self._provide(self._package(), _task(role))

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The liver that TotalSegmentator finds; ``pet`` is not used.

        Raises UsageError (package or weights missing) and Refusal("backend_failed").
        """
        task = _task(role)
        package = self._package()
        needed = self._provide(package, task)
        order = axis_order(image.grid, "RAS")
        torch = require("torch", "torch", EXTRA)
        with guarded(PACKAGE), steady_torch(torch, self.threads), self._confined(package, needed):
            found = package.totalsegmentator(
                _nifti(image, order, role),
                None,
                ml=True,
                fast=self.fast,
                task=task,
                roi_subset=None if self.fast else [LABEL],  # the whole 3 mm model is one model; a crop would add one
                quiet=True,
                skip_saving=True,
                nr_thr_resamp=1,
                nr_thr_saving=1,
                device=self.device,
            )
            labels = np.asanyarray(found.dataobj)
            number = {name: value for value, name in package.class_map[task].items()}[LABEL]
        return finished(order.undo(labels == number), image, self.quality, self._facts(package, task, role, needed))

    def _package(self) -> Any:
        # nnU-Net reads its number of threads once, when it is first imported
        with environment({"nnUNet_def_n_proc": str(self.threads)}, LEFT_BEHIND), guarded(f"{PACKAGE}'s import"):
            mend_torchvision(require("torch", "torch", EXTRA))
            return require("totalsegmentator.python_api", PACKAGE, EXTRA)

    def _weights_folder(self, package: Any) -> Path:
        if self.weights is not None:
            return self.weights
        config = require("totalsegmentator.config", PACKAGE, EXTRA)
        return Path(config.get_weights_dir())

    def _provide(self, package: Any, task: str) -> dict[int, Path]:
        """The model folders that the task needs, all there; UsageError names those that are missing."""
        root = self._weights_folder(package)
        needed = {number: root / name for number, name in self._models(package, task).items()}
        missing = [path.name for path in needed.values() if not any(path.glob(CHECKPOINTS))]
        if missing and not self.allow_download:
            raise UsageError(
                f"TotalSegmentator's weights for {task} are missing: {', '.join(missing)}; looked for in {root}. "
                f"Nothing is downloaded unasked: on a machine with network run `totalseg_download_weights -t {task}` "
                "and copy them there, name their folder in weights, or set allow_download"
            )
        return needed

    def _models(self, package: Any, task: str) -> dict[int, str]:
        """Folder names by model number of what a run for the liver alone uses, from the package's own tables."""
        config = require("totalsegmentator.map_tasks_config", PACKAGE, EXTRA)
        maps = require("totalsegmentator.map_to_binary", PACKAGE, EXTRA)
        try:
            numbers = package.get_task_config(task, fast=self.fast, quiet=True)["task_id"]
            if isinstance(numbers, list):
                is_ct = task == CT_TASK
                parts = maps.class_map_5_parts if is_ct else maps.class_map_parts_mr
                names = maps.map_taskid_to_partname_ct if is_ct else maps.map_taskid_to_partname_mr
                numbers = [n for n in numbers if LABEL in parts[names[n]].values()]
                numbers.append(CROP_MODELS[task])
            else:
                numbers = [numbers]
            return {n: config.TASK_ID_WEIGHTS_CONFIGS[n]["foldername"] for n in numbers}
        except (AttributeError, KeyError, TypeError) as error:
            raise UsageError(
                f"TotalSegmentator {version_of(PACKAGE)} is laid out in a way that liverpair does not know "
                f"({type(error).__name__}: {error}); it is tested with 2.18"
            ) from error

    @contextmanager
    def _confined(self, package: Any, needed: dict[int, Path]) -> Iterator[None]:
        """A home folder that goes again, statistics off, and no download beyond what was allowed."""
        root = self._weights_folder(package)
        with tempfile.TemporaryDirectory(prefix="liverpair_totalsegmentator_") as home:
            (Path(home) / "config.json").write_text(json.dumps(PRIVATE_CONFIG), encoding="utf-8")
            variables = {"TOTALSEG_HOME_DIR": home, "TOTALSEG_WEIGHTS_PATH": str(root), "nnUNet_compile": "f"}
            with environment(variables, LEFT_BEHIND):
                download = package.download_pretrained_weights
                package.download_pretrained_weights = self._fetcher(download, needed)
                try:
                    yield
                finally:
                    package.download_pretrained_weights = download

    def _fetcher(self, download: Callable[[int], None], needed: dict[int, Path]) -> Callable[[int], None]:
        """What stands in for the download: TotalSegmentator asks for all parts of a task, used or not."""

        def provide(number: int) -> None:
            if self.allow_download and number in needed and not needed[number].is_dir():
                download(number)

        return provide

    def _facts(self, package: Any, task: str, role: str, needed: dict[int, Path]) -> dict[str, Any]:
        files = sorted(file for path in needed.values() for file in path.glob(CHECKPOINTS))
        return {
            "backend": self.name,
            "role": role,
            "task": task,
            "fast": self.fast,
            "models": sorted(path.name for path in needed.values()),
            "weights_sha256": [file_digest(file) for file in files],
            "versions": {package: version_of(package) for package in (PACKAGE, "nnunetv2", "torch")},
            "device": self.device,
        }


def _task(role: str) -> str:
    return CT_TASK if role == "ct" else MR_TASK


def _nifti(image: Volume, order: AxisOrder, role: str) -> Any:
    """The image as TotalSegmentator wants it, RAS, with an affine that says the steps and nothing else.

    An oblique affine, rounded to NIfTI's single precision, is refused by ITK, through which nnU-Net reads; the
    network sees an array and steps in any case.
    """
    values: NDArray[np.float32] = order.apply(image.values)
    if role != "ct":
        bright = float(np.percentile(values, BRIGHT_PERCENTILE))
        if 0 < bright < MR_LEVELS:
            values = values * np.float32(MR_LEVELS / bright)
    return nib.Nifti1Image(values, np.diag([*order.spacing(image.grid), 1.0]))
