"""The liver's backend as a setting: strict about what it needs, and a case goes on where a mask is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from liverpair.core.errors import ConfigError, UsageError
from liverpair.core.geometry import Grid
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.nifti import write_nifti
from liverpair.flow.config import Settings, dump_settings, load_settings
from liverpair.flow.livers import BackendSettings, find_liver, given_masks_digest, prepare_backends


def settings_of(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_a_backends_settings_are_checked_and_survive_a_round_trip(tmp_path: Path) -> None:
    text = f'[backend]\nct = "given"\nmasks = "{tmp_path}"\nmodel_labels = ["liver", "tumour"]\n'
    settings = settings_of(tmp_path, text)
    assert settings.backend.masks == tmp_path
    assert settings_of(tmp_path, dump_settings(settings)) == settings
    with pytest.raises(ConfigError, match="needs masks"):
        settings_of(tmp_path, '[backend]\nct = "given"\n')
    with pytest.raises(ConfigError, match="needs mr_model"):
        settings_of(tmp_path, '[backend]\nmr = "nnunet"\n')
    with pytest.raises(ConfigError, match=r"classical.*given.*totalsegmentator.*nnunet"):
        settings_of(tmp_path, '[backend]\nct = "magic"\n')


def test_a_given_mask_is_found_by_its_series_and_a_missing_one_is_a_failed_liver(tmp_path: Path) -> None:
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    grid = Grid((60, 60, 60), affine)
    liver = np.zeros(grid.shape, bool)
    liver[15:45, 15:45, 15:45] = True
    write_nifti(Mask(liver, grid), tmp_path / "1.2.3.nii.gz")
    image = Volume(np.zeros(grid.shape, np.float32), grid)
    settings = Settings(backend=BackendSettings(ct="given", masks=tmp_path))
    found = find_liver(image, "ct", "1.2.3", settings.liver, settings.backend)
    assert found.verdict == "usable"
    assert found.mask is not None
    assert np.array_equal(found.mask.values, liver)
    missing = find_liver(image, "ct", "1.2.4", settings.liver, settings.backend)
    assert (missing.verdict, missing.reasons) == ("failed", ("no_given_mask",))


def test_a_mask_drawn_anew_changes_the_digest(tmp_path: Path) -> None:
    settings = BackendSettings(ct="given", masks=tmp_path)
    none = given_masks_digest(settings, ["1.2.3"])
    (tmp_path / "1.2.3.nii.gz").write_bytes(b"one")
    one = given_masks_digest(settings, ["1.2.3"])
    (tmp_path / "1.2.3.nii.gz").write_bytes(b"two")
    assert len({none, one, given_masks_digest(settings, ["1.2.3"])}) == 3


def test_a_missing_model_is_said_before_the_first_case(tmp_path: Path) -> None:
    prepare_backends(BackendSettings())
    with pytest.raises(UsageError, match="no nnU-Net model folder"):
        prepare_backends(BackendSettings(ct="nnunet", ct_model=tmp_path / "nowhere"))
