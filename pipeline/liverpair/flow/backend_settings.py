"""The settings of the backends: who finds the liver, and what that needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

__all__ = ["BackendSettings"]

Name = Literal["classical", "given", "totalsegmentator", "nnunet"]


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """``ct``, ``mr``: who finds the liver on each.

    given: ``masks``, the folder of masks, each named <SeriesInstanceUID>.nii.gz (or .dcm: DICOM SEG, RT Structure
    Set); ``label`` picks one region of several. totalsegmentator: ``weights`` (None: where TotalSegmentator looks),
    ``fast``, ``allow_download``. nnunet: ``ct_model``, ``mr_model`` (model folders), ``model_labels``, ``model_axes``,
    ``model_roles`` (see NnunetBackend).
    ``device``: cpu, or what the backend's package calls the accelerator.
    """

    ct: Name = "classical"
    mr: Name = "classical"
    masks: Path | None = None
    label: int | None = None
    weights: Path | None = None
    fast: bool = False
    allow_download: bool = False
    ct_model: Path | None = None
    mr_model: Path | None = None
    model_labels: tuple[str, ...] = ("liver",)
    model_axes: str = ""
    model_roles: tuple[str, ...] = ()
    device: str = "cpu"

    def __post_init__(self) -> None:
        if "given" in (self.ct, self.mr) and self.masks is None:
            raise ValueError("the backend 'given' needs masks, the folder of the masks")
        for name, model in (("ct", self.ct_model), ("mr", self.mr_model)):
            if getattr(self, name) == "nnunet" and model is None:
                raise ValueError(f"the backend 'nnunet' for {name} needs {name}_model, a trained model's folder")
