"""Liver masks from elsewhere: given masks, nnU-Net model folders, TotalSegmentator.

The tests of the two packages run their real predictors on networks set by hand (tests/toy_models.py); they are skipped
where the extras are not installed.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import zipfile
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.core.errors import GeometryRefusal, Refusal, UsageError
from liverpair.core.geometry import Grid, lps_to_ras
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.load import load_mask
from liverpair.dicom.nifti import write_nifti
from liverpair.segment.backends import (
    ClassicalBackend,
    GivenMaskBackend,
    NnunetBackend,
    TotalSegmentatorBackend,
    backend,
)
from liverpair.segment.backends.axes import axis_order
from liverpair.segment.backends.nnunet_folder import read_model_folder
from liverpair.segment.backends.packages import environment, guarded, require
from liverpair.segment.backends.protocol import finished
from liverpair.segment.liver_quality import QualityLimits

from tests.toy_models import write_toy_model

ROOT = Path(__file__).resolve().parents[1]
LIMITS = QualityLimits()
LEARNED = ("torch", "nnunetv2", "totalsegmentator")


def grid_of(shape: tuple[int, int, int] = (60, 50, 40), step: tuple[float, ...] = (4.0, 4.0, 5.0)) -> Grid:
    """An axial DICOM grid: i to the left, j to the back, k to the head."""
    affine = np.diag([*step, 1.0])
    affine[:3, 3] = (-120, -100, -90)
    return Grid(shape, affine)


def egg(grid: Grid, radii: tuple[float, float, float] = (75, 60, 70), centre: tuple[float, ...] = (-5, 0, 5)) -> Any:
    """An ellipsoid of about 1.3 litres, away from the field of view's border (bool, grid.shape)."""
    places = grid.to_world(np.moveaxis(np.indices(grid.shape), 0, -1)) - np.asarray(centre)
    return (places**2 / np.asarray(radii) ** 2).sum(axis=-1) <= 1


def ct_of(liver: Any, grid: Grid) -> Volume:
    """A soft-tissue block of 50 HU with a liver of 110 HU (the toy's threshold is midway) and a brighter organ."""
    values = np.full(grid.shape, 50.0, dtype=np.float32)
    values[liver] = 110.0
    values[2:8, 30:44, 20:30] = 200.0
    return Volume(values, grid, Unit.HOUNSFIELD)


def dice(a: Any, b: Any) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


# ---- given masks


def test_a_given_mask_on_its_images_grid_is_used_as_it_is() -> None:
    grid = grid_of()
    liver = egg(grid)
    answer = backend("given", mask=Mask(liver, grid)).segment(ct_of(liver, grid), "ct")
    assert answer.verdict == "usable"
    assert answer.reasons == ()
    assert answer.mask is not None
    assert np.array_equal(answer.mask.values, liver)


def test_a_given_mask_of_another_grid_comes_onto_the_images() -> None:
    fine, coarse = grid_of((120, 100, 80), (2.0, 2.0, 2.5)), grid_of()
    answer = GivenMaskBackend(Mask(egg(coarse), coarse)).segment(ct_of(egg(fine), fine), "ct")
    assert answer.mask is not None
    assert dice(answer.mask.values, egg(fine)) > 0.97


def test_a_given_mask_of_a_part_is_flagged_and_one_of_another_place_refused() -> None:
    grid = grid_of()
    image = ct_of(egg(grid), grid)
    tall = grid_of((60, 50, 80))
    above = Mask(egg(tall, centre=(-5, 0, 105)), tall)
    answer = GivenMaskBackend(above).segment(image, "ct")
    assert answer.verdict == "usable"
    assert {"mask_partly_outside", "fov_truncated"} <= set(answer.reasons)
    affine = grid.affine.copy()
    affine[2, 3] += 3000
    with pytest.raises(Refusal, match="mask_elsewhere"):
        GivenMaskBackend(Mask(egg(grid), Grid(grid.shape, affine))).segment(image, "ct")
    with pytest.raises(Refusal, match="mask_empty"):
        GivenMaskBackend(Mask(np.zeros(grid.shape, bool), grid)).segment(image, "ct")


def test_a_given_mask_of_another_frame_of_reference_is_refused() -> None:
    grid = grid_of()
    here, there = (Grid(grid.shape, grid.affine, uid) for uid in ("1.2.3", "1.2.4"))
    with pytest.raises(GeometryRefusal, match="other_frame_of_reference"):
        GivenMaskBackend(Mask(egg(grid), there)).segment(ct_of(egg(grid), here), "ct")


def test_a_small_given_mask_is_a_readers_word_and_only_flagged() -> None:
    grid = grid_of()
    answer = GivenMaskBackend(Mask(egg(grid, (30, 30, 30)), grid)).segment(ct_of(egg(grid), grid), "ct")
    assert answer.verdict == "usable"
    assert "too_small" in answer.reasons


def test_a_nifti_mask_is_read_by_the_dicom_room_and_given(tmp_path: Path) -> None:
    grid = grid_of()
    liver = egg(grid)
    write_nifti(Mask(liver, grid), tmp_path / "liver.nii.gz")
    answer = GivenMaskBackend(load_mask(tmp_path / "liver.nii.gz", grid)).segment(ct_of(liver, grid), "ct")
    assert answer.mask is not None
    assert np.array_equal(answer.mask.values, liver)


def test_a_dicom_segmentation_is_given(shared_data: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(shared_data / "seg" / "segmentations.zip") as archive:
        mask = load_mask(Path(archive.extract("liver.dcm", tmp_path)))
    image = Volume(np.zeros(mask.grid.shape, np.float32), mask.grid)
    answer = GivenMaskBackend(mask).segment(image, "ct")
    assert answer.volume_ml == pytest.approx(70.36, abs=0.01)
    assert "too_small" in answer.reasons


# ---- what becomes of a model's mask


def test_strays_go_and_enclosed_lesions_stay() -> None:
    grid = grid_of()
    whole = egg(grid)
    holed = whole & ~egg(grid, (20, 20, 20))
    stray = holed.copy()
    stray[2:8, 30:44, 20:30] = True
    answer = finished(stray, ct_of(whole, grid), LIMITS, {"backend": "test"})
    assert answer.verdict == "usable"
    assert answer.reasons == ("pieces_removed",)
    assert answer.mask is not None
    assert np.array_equal(answer.mask.values, whole)
    assert answer.facts["enclosed_ml"] == pytest.approx(4 / 3 * np.pi * 8, rel=0.1)


@pytest.mark.parametrize(
    ("radii", "reason"),
    [((30.0, 30.0, 30.0), "too_small"), ((118.0, 98.0, 88.0), "too_large"), ((110.0, 95.0, 16.0), "not_compact")],
)
def test_what_can_be_no_liver_fails(radii: tuple[float, float, float], reason: str) -> None:
    grid = grid_of()
    answer = finished(egg(grid, radii, (0, 0, 7)), ct_of(egg(grid), grid), LIMITS, {})
    assert answer.verdict == "failed"
    assert reason in answer.reasons


def test_no_voxel_is_a_failure_without_a_mask() -> None:
    grid = grid_of()
    answer = finished(np.zeros(grid.shape, bool), ct_of(egg(grid), grid), LIMITS, {})
    assert (answer.mask, answer.verdict, answer.reasons) == (None, "failed", ("nothing_found",))


def test_a_liver_cut_at_the_top_is_seen_on_a_coronal_stack_too() -> None:
    # i to the left, j to the feet, k to the back: the head end is an end of the second array axis
    affine = np.array([[4.0, 0, 0, -120], [0, 0, 5, -100], [0, -4, 0, 40], [0, 0, 0, 1]])
    grid = Grid((60, 50, 40), affine)
    answer = finished(egg(grid), ct_of(egg(grid), grid), LIMITS, {})
    assert answer.verdict == "usable"
    assert "fov_truncated" in answer.reasons


# ---- array axes


AXES = ["".join(letters) for pairs in permutations(("LR", "PA", "SI")) for letters in product(*pairs)]


def tilted(code: str, degrees: tuple[float, float, float]) -> Grid:
    """A grid whose axes run roughly as ``code`` says, turned by small angles."""
    directions = {"L": (1, 0, 0), "R": (-1, 0, 0), "P": (0, 1, 0), "A": (0, -1, 0), "S": (0, 0, 1), "I": (0, 0, -1)}
    a, b, c = np.deg2rad(degrees)
    turn = (
        np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
        @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
        @ np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    )
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([directions[letter] for letter in code]).T * [1.0, 2.0, 3.0]
    return Grid((3, 4, 5), affine)


@given(st.sampled_from(AXES), st.sampled_from(AXES), st.tuples(*[st.floats(-20, 20)] * 3))
def test_turned_axes_come_back_and_run_as_wanted(own: str, wanted: str, degrees: tuple[float, float, float]) -> None:
    grid = tilted(own, degrees)
    values = np.arange(60.0).reshape(grid.shape)
    order = axis_order(grid, wanted)
    turned = order.apply(values)
    assert np.array_equal(order.undo(turned), values)
    moved = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt(tuple(own)), nib.orientations.axcodes2ornt(tuple(wanted))
    )
    assert np.array_equal(turned, nib.orientations.apply_orientation(values, moved))
    assert sorted(order.spacing(grid)) == pytest.approx([1.0, 2.0, 3.0])


@given(st.sampled_from(AXES), st.tuples(*[st.floats(-15, 15)] * 3))
def test_ras_is_what_nibabel_calls_canonical(own: str, degrees: tuple[float, float, float]) -> None:
    grid = tilted(own, degrees)
    values = np.arange(60.0).reshape(grid.shape)
    canonical = nib.as_closest_canonical(nib.Nifti1Image(values, lps_to_ras(grid.affine)))
    assert np.array_equal(axis_order(grid, "RAS").apply(values), canonical.get_fdata())
    assert axis_order(grid, "RAS").spacing(grid) == pytest.approx(canonical.header.get_zooms())


@pytest.mark.parametrize("code", ["RA", "RRS", "XYZ", "LRS", ""])
def test_letters_that_name_no_orientation_are_an_error(code: str) -> None:
    with pytest.raises(UsageError, match="no orientation"):
        axis_order(grid_of(), code)


# ---- a model folder without nnU-Net


def write_folder(path: Path, **changes: Any) -> Path:
    dataset = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "Liver": 6, "tumour": 7}}
    dataset.update(changes.get("dataset", {}))
    plans = {"configurations": {}, "image_reader_writer": "SimpleITKIO", **changes.get("plans", {})}
    path.mkdir(parents=True, exist_ok=True)
    (path / "dataset.json").write_text(json.dumps(dataset))
    (path / "plans.json").write_text(json.dumps(plans))
    for fold in changes.get("folds", ("0", "1", "all")):
        (path / f"fold_{fold}").mkdir(exist_ok=True)
        (path / f"fold_{fold}" / "checkpoint_final.pth").write_bytes(b"weights")
    return path


def test_a_folder_says_its_labels_channels_axes_and_folds(tmp_path: Path) -> None:
    model = read_model_folder(write_folder(tmp_path), (), "checkpoint_final.pth")
    assert model.values_of(("liver", "tumour")) == (6, 7)
    assert model.channels == ("CT",)
    assert model.axes == ""
    assert model.folds == ("0", "1")
    assert read_model_folder(tmp_path, ("all",), "checkpoint_final.pth").folds == ("all",)
    write_folder(tmp_path, plans={"image_reader_writer": "NibabelIOWithReorient"})
    assert read_model_folder(tmp_path, (), "checkpoint_final.pth").axes == "RAS"


def test_a_region_label_is_all_of_its_values(tmp_path: Path) -> None:
    labels = {"background": 0, "whole liver": [1, 2], "tumour": 2, "ignore": 3}
    model = read_model_folder(write_folder(tmp_path, dataset={"labels": labels}), (), "checkpoint_final.pth")
    assert model.values_of(("whole liver",)) == (1, 2)
    with pytest.raises(UsageError, match="ignore"):
        model.values_of(("ignore",))


def test_an_unknown_label_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no label hepar.*Liver, tumour"):
        NnunetBackend(write_folder(tmp_path), labels=("hepar",)).prepare("ct")


def test_every_missing_piece_of_a_folder_is_named(tmp_path: Path) -> None:
    def read(path: Path, folds: tuple[str, ...] = ()) -> None:
        read_model_folder(path, folds, "checkpoint_final.pth")

    with pytest.raises(UsageError, match="no nnU-Net model folder"):
        read(tmp_path / "nowhere")
    inner = write_folder(tmp_path / "Dataset003_Liver" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    with pytest.raises(UsageError, match=r"did you mean .*Dataset003_Liver/nnUNetTrainer__nnUNetPlans__3d_fullres"):
        read(tmp_path)
    with pytest.raises(UsageError, match=r"fold_4/checkpoint_final.pth .there are folds 0, 1, all.*nothing is downl"):
        read(inner, ("4",))
    with pytest.raises(UsageError, match=r"fold_\*/checkpoint_final.pth"):
        read(write_folder(tmp_path / "empty", folds=()))
    (inner / "plans.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        read(inner)
    with pytest.raises(UsageError, match="v1"):
        read(write_folder(tmp_path / "old", dataset={"labels": {"0": "background", "1": "liver"}}))
    with pytest.raises(UsageError, match="NaturalImage2DIO"):
        read(write_folder(tmp_path / "png", plans={"image_reader_writer": "NaturalImage2DIO"}))


def test_a_model_for_other_images_or_for_several_is_an_error(tmp_path: Path) -> None:
    image = ct_of(egg(grid_of()), grid_of())
    model = write_folder(tmp_path)
    with pytest.raises(UsageError, match=r"is for ct .*not for 'mr-hbp'"):
        NnunetBackend(model).segment(image, "mr-hbp")
    with pytest.raises(UsageError, match=r"is for ct .*not for 'mr-t2'"):
        NnunetBackend(model).prepare("mr-t2")
    with pytest.raises(UsageError, match="is for mr-t2"):
        NnunetBackend(model, roles=("mr-t2",)).segment(image, "ct")
    write_folder(model, dataset={"channel_names": {"0": "CT", "1": "PET"}})
    with pytest.raises(UsageError, match=r"wants 2 images .CT, PET"):
        NnunetBackend(model).prepare("ct")


# ---- optional packages


def test_the_backends_load_no_learned_package_unasked() -> None:
    code = f"import sys, liverpair.segment.backends; print(sorted(set({LEARNED}) & set(sys.modules)))"
    paths = os.pathsep.join(str(ROOT / root) for root in ("pipeline", "segment", "evaluate", "sample_data"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": paths},
    )
    assert done.stdout.strip() == "[]"


def test_only_the_backends_know_torch() -> None:
    own = ROOT / "segment" / "liverpair" / "segment" / "backends"
    loads = re.compile(r"(?:import|from|import_module\(|require\()\s*[\"']?(?:torch|nnunetv2|totalsegmentator)\b")
    knowing = {
        file
        for root in ("pipeline", "segment", "evaluate", "sample_data")
        for file in (ROOT / root).rglob("*.py")
        if loads.search(file.read_text(encoding="utf-8"))
    }
    assert knowing == {own / "nnunet.py", own / "totalsegmentator.py"}


@pytest.mark.parametrize("name", ["nnunet", "totalsegmentator"])
def test_a_missing_package_is_said_with_the_way_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in list(sys.modules):
        if module.split(".")[0] in LEARNED:
            monkeypatch.delitem(sys.modules, module)
    for module in LEARNED:
        monkeypatch.setitem(sys.modules, module, None)
    options = {"model": write_folder(tmp_path)} if name == "nnunet" else {}
    image = ct_of(egg(grid_of()), grid_of())
    for ask in (lambda b: b.prepare("ct"), lambda b: b.segment(image, "ct")):
        with pytest.raises(UsageError, match=rf"not installed here: pip install 'liverpair\[{name}\]'"):
            ask(backend(name, **options))


def test_a_package_that_does_not_load_is_told_from_one_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_package.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    (tmp_path / "halfway.py").write_text("import absent_dependency")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match=r"cannot be loaded \(RuntimeError: operator torchvision::nms"):
        require("broken_package", "Broken", "nnunet")
    with pytest.raises(UsageError, match="needs Halfway's absent_dependency"):
        require("halfway", "Halfway", "nnunet")


def test_a_packages_prints_exits_and_crashes_stay_inside(capsys: pytest.CaptureFixture[str]) -> None:
    with guarded("a package"):
        sys.stdout.write("an advertisement")
    assert capsys.readouterr().out == ""
    with pytest.raises(Refusal, match=r"backend_failed.*SystemExit"), guarded("a package"):
        sys.exit(1)
    with pytest.raises(Refusal, match=r"backend_failed.*ValueError: first line;"), guarded("a package"):
        raise ValueError("first line\nsecond line")
    with pytest.raises(UsageError, match="mine"), guarded("a package"):
        raise UsageError("mine")


def test_environment_variables_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERPAIR_TEST_A", "before")
    monkeypatch.delenv("LIVERPAIR_TEST_B", raising=False)
    with environment({"LIVERPAIR_TEST_A": "inside"}, ("LIVERPAIR_TEST_B",)):
        assert os.environ["LIVERPAIR_TEST_A"] == "inside"
        os.environ["LIVERPAIR_TEST_B"] = "left behind"
    assert os.environ["LIVERPAIR_TEST_A"] == "before"
    assert "LIVERPAIR_TEST_B" not in os.environ


def test_an_unknown_backend_or_option_is_an_error() -> None:
    with pytest.raises(UsageError, match=r"unknown-name.*classical, given, nnunet, totalsegmentator"):
        backend("unknown-name")
    with pytest.raises(UsageError, match="colour"):
        backend("classical", colour="red")
    assert isinstance(backend("classical"), ClassicalBackend)


# ---- the real nnU-Net, on networks set by hand


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every attempt to reach another machine is refused and kept."""
    tried: list[object] = []
    connect = socket.socket.connect

    def refuse(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_UNIX:  # between nnU-Net's own processes
            return connect(self, address)
        tried.append(address)
        raise OSError("the network is off in this test")

    def unknown(host: object, *rest: object, **more: object) -> None:
        tried.append(host)
        raise socket.gaierror("the network is off in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    return tried


def need_nnunet() -> None:
    pytest.importorskip("nnunetv2", reason="the extra liverpair[nnunet] is not installed")


def test_nnunet_finds_the_label_by_its_name(tmp_path: Path, no_network: list[object]) -> None:
    need_nnunet()
    grid = grid_of()
    liver = egg(grid)
    model = write_toy_model(tmp_path / "model", spacing=(5.0, 4.0, 4.0))
    chosen = NnunetBackend(model)
    chosen.prepare("ct")
    answer = chosen.segment(ct_of(liver, grid), "ct")
    assert answer.verdict == "usable"
    assert answer.reasons == ()
    assert answer.mask is not None
    assert np.array_equal(answer.mask.values, liver)
    assert len(answer.facts["weights_sha256"][0]) == 64
    assert answer.facts["versions"]["nnunetv2"]
    both = NnunetBackend(model, labels=("liver", "spleen")).segment(ct_of(liver, grid), "ct")
    assert "pieces_removed" in both.reasons
    assert no_network == []


@pytest.mark.parametrize(
    ("reader", "axes", "towards"),
    [("NibabelIOWithReorient", "", -4.0), ("SimpleITKIO", "RAS", -4.0), ("SimpleITKIO", "LPS", 4.0)],
)
@pytest.mark.parametrize("code", ["LPS", "PSL"])
def test_the_network_sees_the_axes_it_was_trained_on(
    tmp_path: Path, reader: str, axes: str, towards: float, code: str
) -> None:
    """The toy moves its input by one voxel along its last axis: to the right in RAS order, to the left in LPS."""
    need_nnunet()
    straight = grid_of()
    order = axis_order(straight, code)
    directions = np.eye(3)[:, list(order.source)] * straight.spacing[list(order.source)]
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = directions, straight.origin
    grid = Grid(tuple(int(n) for n in np.asarray(straight.shape)[list(order.source)]), affine)
    liver = order.apply(egg(straight))
    image = Volume(order.apply(ct_of(egg(straight), straight).values), grid, Unit.HOUNSFIELD)
    model = write_toy_model(tmp_path / "model", reader=reader, shift=True, spacing=(5.0, 4.0, 4.0))
    answer = NnunetBackend(model, axes=axes).segment(image, "ct")
    assert answer.mask is not None
    assert answer.mask.centroid() - Mask(liver, grid).centroid() == pytest.approx([towards, 0, 0], abs=1e-6)


def test_nnunet_resamples_to_its_own_spacing_and_back(tmp_path: Path) -> None:
    need_nnunet()
    grid = grid_of((100, 84, 40), (2.4, 2.4, 5.0))
    liver = egg(grid)
    answer = NnunetBackend(write_toy_model(tmp_path / "model", spacing=(3.0, 3.0, 3.0))).segment(
        ct_of(liver, grid), "ct"
    )
    assert answer.mask is not None
    assert dice(answer.mask.values, liver) > 0.97
    assert np.abs(answer.mask.centroid() - Mask(liver, grid).centroid()).max() < 0.3


def test_unsaid_axes_are_refused_or_assumed_where_mirror_images_were_trained_on(tmp_path: Path) -> None:
    need_nnunet()
    grid = grid_of()
    image = ct_of(egg(grid), grid)
    with pytest.raises(UsageError, match="say which order"):
        NnunetBackend(write_toy_model(tmp_path / "a", reader="SimpleITKIO")).segment(image, "ct")
    mirrored = write_toy_model(tmp_path / "b", reader="SimpleITKIO", mirroring=(0, 1, 2), spacing=(5.0, 4.0, 4.0))
    answer = NnunetBackend(mirrored).segment(image, "ct")
    assert answer.reasons == ("axes_assumed",)


def test_nnunet_gives_the_same_mask_twice_with_folds_mirrors_and_threads(tmp_path: Path) -> None:
    need_nnunet()
    grid = grid_of()
    rng = np.random.default_rng(0)
    noisy = ct_of(egg(grid), grid).values + rng.normal(0, 30, grid.shape).astype(np.float32)
    model = write_toy_model(tmp_path / "model", mirroring=(0, 1, 2), folds=(0, 1), spacing=(5.0, 4.0, 4.0))
    found = [
        NnunetBackend(model, mirroring=True, threads=threads).segment(Volume(noisy, grid), "ct").mask
        for threads in (1, 1, 2)
    ]
    assert all(mask is not None and np.array_equal(mask.values, found[0].values) for mask in found)


def test_a_damaged_checkpoint_is_a_refusal_and_torch_is_left_as_it_was(tmp_path: Path) -> None:
    need_nnunet()
    import torch

    model = write_toy_model(tmp_path / "model")
    (model / "fold_0" / "checkpoint_final.pth").write_bytes(b"no checkpoint")
    before = torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32
    with pytest.raises(Refusal, match="backend_failed"):
        NnunetBackend(model, threads=before[0] + 1).segment(ct_of(egg(grid_of()), grid_of()), "ct")
    assert before == (torch.get_num_threads(), torch.backends.cudnn.benchmark, torch.backends.cudnn.allow_tf32)


# ---- the real TotalSegmentator, on networks set by hand


TRAINERS = {"total": "nnUNetTrainer_4000epochs_NoMirroring", "total_mr": "nnUNetTrainer_2000epochs_NoMirroring"}


def need_totalsegmentator() -> Any:
    return pytest.importorskip(
        "totalsegmentator.map_to_binary", reason="the extra liverpair[totalsegmentator] is not installed"
    )


def numbered(names: dict[int, str]) -> dict[str, int]:
    return {"background": 0, **{name: number for number, name in names.items()}}


def write_weights(root: Path, folder: str, trainer: str, names: dict[int, str], **options: Any) -> None:
    write_toy_model(
        root / folder / f"{trainer}__nnUNetPlans__3d_fullres", labels=numbered(names), trainer=trainer, **options
    )


def test_totalsegmentator_names_the_weights_that_are_missing(
    tmp_path: Path, no_network: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    need_totalsegmentator()
    image = ct_of(egg(grid_of()), grid_of())
    (tmp_path / "nnUNet" / "3d_fullres" / "Task256_TotalSegmentator_3mm_1139subj").mkdir(parents=True)
    for ask in (lambda b: b.prepare("ct"), lambda b: b.segment(image, "ct")):
        with pytest.raises(UsageError, match=rf"Dataset291_.*Dataset298_.*looked for in {tmp_path}.*totalseg_download"):
            ask(TotalSegmentatorBackend(weights=tmp_path))
    with pytest.raises(UsageError, match=r"Dataset850_.*Dataset852_"):
        TotalSegmentatorBackend(weights=tmp_path).segment(image, "mr-hbp")
    with pytest.raises(UsageError, match=r"missing: Dataset297_[a-zA-Z0-9_]*;"):
        TotalSegmentatorBackend(weights=tmp_path, fast=True).segment(image, "ct")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("TOTALSEG_HOME_DIR", "TOTALSEG_WEIGHTS_PATH"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=rf"looked for in {tmp_path}/home/.totalsegmentator/nnunet/results"):
        TotalSegmentatorBackend().prepare("mr-t2")
    assert not (tmp_path / "home").exists()
    assert no_network == []
    assert (tmp_path / "nnUNet" / "3d_fullres" / "Task256_TotalSegmentator_3mm_1139subj").is_dir()


def test_totalsegmentator_reaches_out_only_when_told(tmp_path: Path, no_network: list[object]) -> None:
    need_totalsegmentator()
    image = ct_of(egg(grid_of()), grid_of())
    with pytest.raises(Refusal, match=r"backend_failed.*ConnectionError"):
        TotalSegmentatorBackend(weights=tmp_path, fast=True, allow_download=True).segment(image, "ct")
    assert no_network


@pytest.mark.slow
def test_totalsegmentator_segments_without_network_home_or_traces(
    tmp_path: Path, no_network: list[object], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = need_totalsegmentator()
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    weights = tmp_path / "weights"
    old = weights / "nnUNet" / "3d_fullres" / "Task256_TotalSegmentator_3mm_1139subj"
    old.mkdir(parents=True)
    spacing = (3.0, 3.0, 3.0)
    write_weights(
        weights,
        "Dataset297_TotalSegmentator_total_3mm_1559subj",
        TRAINERS["total"],
        maps.class_map["total"],
        spacing=spacing,
        shift=True,
    )
    grid = grid_of((80, 66, 66), (3.0, 3.0, 3.0))
    liver = egg(grid)
    before = dict(os.environ)
    answer = TotalSegmentatorBackend(weights=weights, fast=True).segment(ct_of(liver, grid), "ct")
    assert answer.verdict == "usable"
    assert answer.mask is not None
    assert answer.mask.centroid() - Mask(liver, grid).centroid() == pytest.approx([-3.0, 0, 0], abs=1e-6)
    assert no_network == []
    assert dict(os.environ) == before
    assert list(home.iterdir()) == []
    assert old.is_dir()
    assert capsys.readouterr().out == ""
    assert answer.facts["models"] == ["Dataset297_TotalSegmentator_total_3mm_1559subj"]


@pytest.mark.slow
def test_totalsegmentator_on_an_oblique_mri_of_small_numbers(tmp_path: Path, no_network: list[object]) -> None:
    """Crop model and organ model of total_mr; intensities of 0 to 1, which whole numbers would lose."""
    maps = need_totalsegmentator()
    settings: dict[str, Any] = {"channel": "MRI", "scheme": "NoNormalization"}
    trainer = TRAINERS["total_mr"]
    write_weights(
        tmp_path, "Dataset852_TotalSegMRI_total_3mm_1088subj", trainer, maps.class_map["total_mr"],
        spacing=(3.0, 3.0, 3.0), **settings,
    )  # fmt: skip
    write_weights(
        tmp_path, "Dataset850_TotalSegMRI_part1_organs_1088subj", trainer,
        maps.class_map_parts_mr["class_map_part_organs"], spacing=(1.5, 1.5, 1.5), **settings,
    )  # fmt: skip
    a = np.deg2rad(17.3)
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn * [3.1, 3.1, 4.3]
    affine[:3, 3] = turn @ np.array([-120.0, -100, -90])
    grid = Grid((80, 66, 44), affine)
    liver = egg(grid)
    values = np.full(grid.shape, 0.05, dtype=np.float32)
    values[liver] = 0.11
    values[2:8, 30:44, 20:30] = 1.0  # the bright end, 1000 after scaling: the liver becomes 110
    values[70:78, 2:60, 2:40] = 1.0
    answer = TotalSegmentatorBackend(weights=tmp_path).segment(Volume(values, grid), "mr-hbp")
    assert answer.verdict == "usable"
    assert answer.mask is not None
    assert dice(answer.mask.values, liver) > 0.97
    assert np.abs(answer.mask.centroid() - Mask(liver, grid).centroid()).max() < 0.5
    assert len(answer.facts["weights_sha256"]) == 2
    assert no_network == []
