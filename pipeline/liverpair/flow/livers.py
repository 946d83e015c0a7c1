"""Find the liver with the backend that the settings name: liverpair's own search, given masks, or a learned model."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from liverpair.core.errors import Refusal
from liverpair.core.provenance import fingerprint
from liverpair.core.volume import Volume
from liverpair.dicom.load import load_mask
from liverpair.flow.backend_settings import BackendSettings
from liverpair.segment.backends import GivenMaskBackend, LiverBackend, backend
from liverpair.segment.backends.packages import file_digest
from liverpair.segment.liver import LiverSegmentation, LiverSettings

__all__ = ["BackendSettings", "find_liver", "given_masks_digest", "prepare_backends"]

#: A given mask is a file or folder named after its image's Series Instance UID, with one of these endings.
MASK_ENDINGS = (".nii.gz", ".nii", ".dcm", ".zip", "")


def _learned(settings: BackendSettings, role: str) -> LiverBackend:
    """The backend for a role, any but given."""
    name = settings.ct if role == "ct" else settings.mr
    if name == "totalsegmentator":
        return backend(
            name,
            weights=settings.weights,
            fast=settings.fast,
            device=settings.device,
            allow_download=settings.allow_download,
        )
    model = settings.ct_model if role == "ct" else settings.mr_model
    return backend(
        name,
        model=model,
        labels=settings.model_labels,
        axes=settings.model_axes,
        device=settings.device,
        roles=settings.model_roles,
    )


def prepare_backends(settings: BackendSettings) -> None:
    """Check packages, weights and folders before the first case; UsageError says what is missing."""
    for role in ("ct", "mr-hbp"):
        if (settings.ct if role == "ct" else settings.mr) in ("totalsegmentator", "nnunet"):
            _learned(settings, role).prepare(role)


def _given_mask(settings: BackendSettings, series_uid: str) -> Path | None:
    if settings.masks is None or not series_uid:
        return None
    candidates = (settings.masks / f"{series_uid}{ending}" for ending in MASK_ENDINGS)
    return next((path for path in candidates if path.exists()), None)


def given_masks_digest(settings: BackendSettings, series_uids: Iterable[str]) -> str:
    """A hash of the given masks of these series: a mask drawn anew makes a case stale."""
    found = [path for uid in sorted(series_uids) if (path := _given_mask(settings, uid)) is not None]
    files = [file for path in found for file in (sorted(path.rglob("*")) if path.is_dir() else [path])]
    return fingerprint([[file.name, file_digest(file)] for file in files if file.is_file()])


def find_liver(
    image: Volume,
    role: str,
    series_uid: str,
    liver: LiverSettings,
    settings: BackendSettings,
    pet: Volume | None = None,
) -> LiverSegmentation:
    """The liver in the image of that series; a refusal of the backend is a failed liver with its reason."""
    name = settings.ct if role == "ct" else settings.mr
    try:
        if name == "classical":
            return backend(name, settings=liver).segment(image, role, pet)
        if name == "given":
            path = _given_mask(settings, series_uid)
            if path is None:
                return LiverSegmentation(None, "failed", ("no_given_mask",), 0.0, {"backend": name})
            mask = load_mask(path, image.grid, settings.label)
            return GivenMaskBackend(mask, liver.quality).segment(image, role, pet)
        return _learned(settings, role).segment(image, role, pet)
    except Refusal as refusal:
        return LiverSegmentation(None, "failed", (refusal.reason,), 0.0, {"backend": name, "detail": refusal.detail})
