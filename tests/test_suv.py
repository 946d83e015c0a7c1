"""SUV factors on public reference objects and real headers: the numbers the field agreed on."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pydicom
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.dicom.suv import suv_factors, to_suv
from liverpair.flow.cli import app
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from typer.testing import CliRunner

from tests.dicom_phantom import axial_slices, write_all

DROS = ["0_0", "1_0", "2_0", "2_2", "2_4", "3_0", "3_1", "3_3", "4_1", "5_0"]


def zipped(path: Path, suffix: str = ".dcm") -> list[tuple[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        return [(n, archive.read(n)) for n in archive.namelist() if n.endswith(suffix)]


def slices(path: Path, pixels: bool = True) -> list[Dataset]:
    """The PET slices of a ZIP in order of position along z."""
    found = [pydicom.dcmread(io.BytesIO(data), stop_before_pixels=not pixels) for _, data in zipped(path)]
    return sorted((d for d in found if d.Modality == "PT"), key=lambda d: float(d.ImagePositionPatient[2]))


@pytest.mark.parametrize("name", DROS)
def test_the_reference_objects_hold_a_fifth_one_and_four_inside_their_mask(shared_data: Path, name: str) -> None:
    path = shared_data / "suv" / f"DRO_{name}.zip"
    datasets = slices(path)
    result = suv_factors(datasets)
    assert result.status == "ok", result.detail
    values = [d.pixel_array * float(d.RescaleSlope) * f for d, f in zip(datasets, result.factor, strict=True)]
    suv = np.stack(values).transpose(2, 1, 0)  # [i, j, k] as in the mask
    mask_bytes = zipped(path, ".nii.gz")[0][1]
    mask = np.asarray(nib.Nifti1Image.from_bytes(__import__("gzip").decompress(mask_bytes)).dataobj) > 0
    inside = suv[mask]
    found = (inside.min(), np.median(inside), inside.max())
    assert found == pytest.approx((0.2, 1.0, 4.0), abs=0.005)


def dataset_of(instance: dict[str, Any]) -> Dataset:
    """A data set from the flat JSON of the header collection."""
    dataset, injection = Dataset(), Dataset()
    for keyword, value in instance.items():
        if keyword == "PhilipsPETPrivateGroup":
            for name, element in (("SUVScaleFactor", 0x00), ("ActivityConcentrationScaleFactor", 0x09)):
                if name in value:
                    dataset.add_new((0x7053, 0x1000 | element), "UN", f"{value[name]} ".encode())
        elif keyword.startswith("Radio"):
            setattr(injection, keyword, value)
        else:
            setattr(dataset, keyword, value)
    dataset.RadiopharmaceuticalInformationSequence = Sequence([injection])
    return dataset


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("GE_MEDICAL_AND_BQML", 5.3673876818e-4),
        ("SIEMENS", 4.2748316187e-4),
        ("RADIOPHARM_DATETIME_UNDEFINED", 3.7210892028e-4),
        ("PHILIPS_CNTS_AND_BQML_SUV", 5.51e-4),
        ("PHILIPS_CNTS_AND_SUV", 7.28e-4),
    ],
)
def test_real_headers_of_four_vendors_give_the_published_factor(shared_data: Path, name: str, factor: float) -> None:
    instances = json.loads((shared_data / "suv" / f"{name}-instances.json").read_text())
    result = suv_factors([dataset_of(i) for i in instances])
    assert result.status == "ok", result.detail
    assert result.factor == pytest.approx((factor,) * 3, rel=1e-6)


def test_the_philips_scale_agrees_with_the_formula_on_the_same_header(shared_data: Path) -> None:
    instances = json.loads((shared_data / "suv" / "PHILIPS_CNTS_AND_BQML_SUV-instances.json").read_text())
    for instance in instances:
        del instance["PhilipsPETPrivateGroup"]["SUVScaleFactor"]
    result = suv_factors([dataset_of(i) for i in instances])
    assert result.factor == pytest.approx((5.51e-4,) * 3, rel=1e-3)  # the scale is written with three digits


def test_the_real_lutetium_scan_is_corrected_to_administration(shared_data: Path) -> None:
    datasets = slices(shared_data / "lu177_dotatate" / "SCAN_001_image.zip", pixels=False)
    result = suv_factors(datasets)
    assert result.status == "ok"
    assert len(result.factor) == 199
    assert result.factor == pytest.approx((1.2896187e-5,) * 199, rel=1e-5)
    answer = result.as_json()
    assert answer["decay_correction"] == "ADMIN"
    assert answer["units"] == "BQML"
    assert json.loads(json.dumps(answer)) == answer
    assert result.uptake_minutes == pytest.approx(224.47, abs=0.01)


@pytest.mark.parametrize(("name", "peak"), [("STS_002", 21.6757), ("STS_003", 10.2653)])
def test_a_series_stored_as_suv_needs_no_dose_and_keeps_its_values(shared_data: Path, name: str, peak: float) -> None:
    datasets = slices(shared_data / "sts" / f"{name}_PET_dicom.zip")
    for dataset in datasets:
        dataset.RadiopharmaceuticalInformationSequence[0].RadionuclideTotalDose = None
    result = suv_factors(datasets)
    assert result.status == "ok"
    assert set(result.factor) == {1.0}
    values = np.stack([d.pixel_array * float(d.RescaleSlope) for d in datasets])
    # the published maximum is the lesion's, which is the crop's hottest voxel or below it
    assert values.max() >= peak * 0.9999
    assert np.abs(values - peak).min() < 1e-3 * peak


def test_to_suv_scales_slice_by_slice_and_says_so_in_the_unit(shared_data: Path) -> None:
    datasets = slices(shared_data / "suv" / "DRO_1_0.zip")
    result = suv_factors(datasets)
    rescaled = np.stack([d.pixel_array * float(d.RescaleSlope) for d in datasets]).transpose(2, 1, 0)
    volume = Volume(
        rescaled.astype(np.float32), Grid(rescaled.shape, np.diag([4.0, 4.0, 4.0, 1.0])), Unit.BECQUEREL_PER_ML
    )
    suv = to_suv(volume, result)
    assert suv.unit is Unit.SUVBW
    assert np.allclose(suv.values, rescaled * np.asarray(result.factor), rtol=1e-6, atol=0)


def test_a_path_of_several_volumes_is_refused_in_the_same_form_as_every_other_refusal(tmp_path: Path) -> None:
    for number in (1, 2):
        frames = axial_slices(3, Modality="PT", Units="BQML", SeriesInstanceUID=f"1.2.3.{number}")
        for k, dataset in enumerate(frames):
            dataset.SOPInstanceUID = f"1.2.3.{number}.{k + 1}"
        write_all(frames, tmp_path / str(number))
    result = CliRunner().invoke(app, ["suv", str(tmp_path), "--json"])
    assert result.exit_code == 2
    answer = json.loads(result.stdout)
    assert (answer["status"], answer["reason"], answer["factor"]) == ("refused", "several_volumes", [])
