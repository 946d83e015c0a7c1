"""Real scanners' files: the same place and value as dcm2niix and published references, the volumes experts drew."""

from __future__ import annotations

import shutil
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from liverpair.core.errors import Refusal
from liverpair.core.geometry import lps_to_ras
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.dicom.load import find_stacks, load_image, load_labels, load_mask
from liverpair.dicom.pixels import decode
from numpy.typing import NDArray

SERIES = {
    "t2": "liver_mri/SCAN_001_t2_image.zip",
    "adc": "liver_mri/SCAN_001_adc_image.zip",
    "ct": "liver_ct/CRLM-CT-1004_image.zip",
    "ct-j2k-blank-uids": "totalseg_ct/example_ct_dicom.zip",
    "spect-as-pet": "lu177_dotatate/SCAN_001_image.zip",
    "pet-002": "sts/STS_002_PET_dicom.zip",
    "ct-002": "sts/STS_002_CT_dicom.zip",
    "mr-002": "sts/STS_002_MR_T1_dicom.zip",
    "pet-003": "sts/STS_003_PET_dicom.zip",
    "mr-003": "sts/STS_003_MR_T1_dicom.zip",
}
VENDOR_SERIES = (
    "ge_anatomical/001",
    "ge_anatomical/001_implicit",
    "siemens_anatomical/001",
    "siemens_anatomical/001_implicit",
    "anatomical/001",
    "anatomical/001_implicit",
    "anatomical/002_non_isotropic",
    "compressed/001",
    "compressed_j2k/001",
    "compressed_jpegls/001",
    "compressed_jpeg/001",
    "compressed_rle/001",
)
LOSSLESS = ("J2KR", "JLSL", "JPLL", "RLE")


@pytest.fixture(scope="session")
def unzipped(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A function that unpacks one of the shared archives once and returns its folder."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            done[name] = tmp_path_factory.mktemp(Path(name).stem)
            with zipfile.ZipFile(shared_data / name) as archive:
                archive.extractall(done[name])
        return done[name]

    return unpack


def _disagreement(volume: Volume, values: NDArray[Any], affine: NDArray[np.float64]) -> tuple[float, float]:
    """(mm between corner voxels, largest difference of values) to a NIfTI image, its axes flipped or swapped."""
    to_theirs = np.linalg.inv(affine) @ lps_to_ras(volume.grid.affine)
    corners = volume.grid.to_index(volume.grid.corners())
    theirs = corners @ to_theirs[:3, :3].T + to_theirs[:3, 3]
    distance = float(np.abs((theirs - np.rint(theirs)) @ affine[:3, :3].T).max())
    turn = np.rint(to_theirs[:3, :3])
    axes = [int(np.argmax(np.abs(turn[row]))) for row in range(3)]
    ours = np.transpose(volume.values, axes)
    for row in range(3):
        if turn[row, axes[row]] < 0:
            ours = np.flip(ours, row)
    assert ours.shape == values.shape
    return distance, float(np.abs(ours - values.astype(np.float32)).max())


@pytest.mark.parametrize("name", SERIES)
def test_we_agree_with_dcm2niix(name: str, shared_data: Path, unzipped: Any, tmp_path: Path) -> None:
    program = shutil.which("dcm2niix")
    if program is None:
        pytest.skip("dcm2niix is not installed (apt-get install dcm2niix), so there is nothing to compare with")
    volume = load_image(shared_data / SERIES[name])
    command = [program, "-z", "n", "-b", "n", "-f", "v", "-o", str(tmp_path), str(unzipped(SERIES[name]))]
    subprocess.run(command, capture_output=True, check=True)
    (path,) = tmp_path.glob("*.nii")
    image = nibabel.load(path)
    distance, difference = _disagreement(volume, np.asanyarray(image.dataobj), image.affine)
    assert distance < 0.01
    assert difference <= 1e-6 * max(1.0, float(volume.values.max()))


@pytest.mark.parametrize("name", VENDOR_SERIES)
def test_we_agree_with_the_published_nifti_of_each_vendor(name: str, unzipped: Any) -> None:
    archive = {"ge": "ge_anatomical", "si": "siemens_anatomical"}.get(name[:2], "generic")
    folder = unzipped(f"mr_vendors/{archive}.zip")
    root = folder / name.split("/")[1] if archive != "generic" else folder / name
    image = nibabel.load(root.with_name(f"{root.name}_ground_truth.nii.gz"))
    distance, difference = _disagreement(load_image(root), np.asanyarray(image.dataobj), image.affine)
    assert distance < 0.01
    assert difference < 1e-4


def test_units_are_those_of_the_headers(shared_data: Path) -> None:
    units = {name: load_image(shared_data / SERIES[name]).unit for name in ("adc", "ct", "spect-as-pet", "pet-002")}
    assert list(units.values()) == [Unit.DIFFUSIVITY, Unit.HOUNSFIELD, Unit.BECQUEREL_PER_ML, Unit.SUVBW]


def test_a_single_slice_without_thickness_is_refused_not_guessed(unzipped: Any) -> None:
    with pytest.raises(Refusal, match="no_slice_thickness"):
        load_image(unzipped("mr_vendors/ge_anatomical.zip") / "001_single_slice")


@pytest.mark.parametrize("image", ["CT1", "CT2", "MR1", "MR3", "MR4", "NM1"])
def test_lossless_transfer_syntaxes_decode_identically(image: str, unzipped: Any) -> None:
    root = next(unzipped("transfer_syntaxes/wg04_ct_mr_nm.zip").rglob("RLE")).parent
    reference = decode(pydicom.dcmread(root / "RLE" / f"{image}_RLE"))
    for syntax in LOSSLESS:
        assert np.array_equal(decode(pydicom.dcmread(root / syntax / f"{image}_{syntax}")), reference), syntax
    near = decode(pydicom.dcmread(root / "JLSN" / f"{image}_JLSN"))
    assert 0 < np.abs(near.astype(int) - reference).max() <= 4
    if shutil.which("zstd"):
        packed = (root / "REF" / f"{image}_UNC.zst").read_bytes()
        plain = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True).stdout
        original = decode(pydicom.dcmread(pydicom.filebase.DicomBytesIO(plain)))
        assert np.array_equal(original, reference)


def test_the_segmented_liver_has_its_published_size(unzipped: Any) -> None:
    labels = load_labels(next(unzipped("seg/segmentations.zip").rglob("liver.dcm")))
    (mask,) = labels.masks.values()
    assert labels.names == {1: "Liver"}
    assert np.count_nonzero(mask.values, axis=(0, 1)).tolist() == [36233, 35645, 35220]
    assert mask.volume_ml == pytest.approx(70.36, abs=0.005)


def _nrrd(path: Path) -> NDArray[np.int64]:
    """The raw or gzipped values of a NRRD file, first axis fastest."""
    header, _, content = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in header.decode("latin-1").splitlines() if ": " in line)
    if fields["encoding"].strip() == "gzip":
        import gzip

        content = gzip.decompress(content)
    kinds = {
        "unsigned char": "u1",
        "uint8": "u1",
        "short": "<i2",
        "signed short": "<i2",
        "unsigned short": "<u2",
        "int": "<i4",
    }
    sizes = [int(size) for size in fields["sizes"].split()]
    return np.frombuffer(content, kinds[fields["type"].strip()]).reshape(sizes, order="F").astype(np.int64)


@pytest.mark.parametrize(
    ("seg", "nrrd"), [("sparse-labelmap-noppv", "sparse_labelmap_noppv_seg"), ("liver", "liver_seg")]
)
def test_segmentations_hold_the_voxels_of_their_nrrd_twins(seg: str, nrrd: str, unzipped: Any) -> None:
    root = unzipped("seg/segmentations.zip")
    labels = load_labels(next(root.rglob(f"{seg}.dcm")))
    reference = _nrrd(next(root.rglob(f"{nrrd}.nrrd")))
    assert sorted(np.count_nonzero(reference == n) for n in np.unique(reference) if n) == sorted(
        int(mask.values.sum()) for mask in labels.masks.values()
    )


def test_fractional_and_binary_twins_agree(unzipped: Any) -> None:
    root = unzipped("seg/highdicom_test_files.zip")
    masks = [
        load_mask(next(root.rglob(f"seg_image_ct_{kind}.dcm")))
        for kind in ("binary", "binary_fractional", "true_fractional")
    ]
    assert all(np.array_equal(mask.values, masks[0].values) for mask in masks)


def test_the_lutetium_patients_lesions_are_where_the_expert_drew_them(shared_data: Path) -> None:
    image = load_image(shared_data / SERIES["spect-as-pet"])
    labels = load_labels(shared_data / "lu177_dotatate" / "SCAN_001_rtstruct.zip", like=image.grid)
    first, second = labels.masks.values()
    assert first.volume_ml == pytest.approx(107.1, rel=0.03)
    assert second.volume_ml == pytest.approx(2.86, rel=0.08)
    assert first.centroid() == pytest.approx((-77.7, -187.4, 1445.8), abs=0.2)
    assert second.centroid() == pytest.approx((-51.5, -263.7, 1418.7), abs=0.2)
    factor = 1.2896187e-5
    assert image.values[first.values].max() * factor == pytest.approx(29.05, abs=0.01)
    assert image.values[second.values].max() * factor == pytest.approx(29.42, abs=0.01)


@pytest.mark.parametrize(
    ("patient", "suv_max", "suv_mean", "volume"), [("002", 21.6757, 7.3696, 54.28), ("003", 10.2653, 5.8163, 79.9)]
)
def test_sarcoma_contours_give_the_published_suv(
    patient: str, suv_max: float, suv_mean: float, volume: float, shared_data: Path
) -> None:
    archive = shared_data / "sts" / f"STS_{patient}_PET_dicom.zip"
    image, mask = load_image(archive), load_mask(archive)
    inside = image.values[mask.values]
    assert float(inside.max()) == pytest.approx(suv_max, abs=5e-4)
    assert float(inside.mean(dtype=np.float64)) == pytest.approx(suv_mean, abs=5e-4)
    assert mask.volume_ml == pytest.approx(volume, abs=0.02)


def test_the_ibsi_phantom_is_the_same_in_both_formats(unzipped: Any) -> None:
    root = unzipped("ibsi/ibsi_1_digital_phantom.zip")
    dicom, nifti = load_image(next(root.rglob("dicom/image"))), load_image(next(root.rglob("phantom.nii.gz")))
    assert dicom.values.shape == nifti.values.shape
    mask_dicom, mask_nifti = load_mask(next(root.rglob("dicom/mask"))), load_mask(next(root.rglob("mask.nii.gz")))
    assert int(mask_dicom.values.sum()) == int(mask_nifti.values.sum()) == 74
    inside_dicom = np.sort(dicom.values[load_mask(next(root.rglob("dicom/mask")), like=dicom.grid).values])
    assert np.array_equal(inside_dicom, np.sort(nifti.values[mask_nifti.values]))


def test_a_whole_folder_of_archives_is_read_without_a_crash(shared_data: Path) -> None:
    stacks = [stack for name in ("suv", "sts", "seg") for stack in find_stacks(shared_data / name)]
    assert len(stacks) >= 16
