"""Damaged files end in a refusal with a reason, never in another exception."""

from __future__ import annotations

import io
import os
import random
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from liverpair.core.errors import LiverpairError, Refusal
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.load import load_image, load_labels
from liverpair.dicom.rtstruct import fill_contours, read_regions
from liverpair.dicom.scan import scan
from liverpair.dicom.seg import read_segmentation
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from benchmarks import fuzz
from benchmarks.fuzz_chain import Outcome, exercise
from benchmarks.fuzz_seeds import Seed, all_seeds, encoded
from tests.dicom_phantom import as_bytes, make_slice, numbered_pixels
from tests.test_dicom_load import _grid, _segmentation, _structure_set
from tests.test_dicom_scan import _enhanced


def _damaged(content: bytes, rng: random.Random) -> bytes:
    """The content with some bits flipped, a piece cut out or doubled, or the end missing."""
    data = bytearray(content)
    kind = rng.randrange(4)
    if kind == 0:
        return bytes(data[: rng.randrange(len(data))])
    at = rng.randrange(len(data))
    if kind == 1:
        del data[at : at + rng.randrange(1, 64)]
    elif kind == 2:
        data[at:at] = data[at : at + rng.randrange(1, 64)]
    for _ in range(rng.randrange(1, 12)):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _survives(content: bytes, folder: Path) -> str:
    """What scanning and loading make of ``content``: "" or a refusal's reason; anything else fails the test."""
    path = folder / "file"
    path.write_bytes(content)
    try:
        scan("file", io.BytesIO(content))
        load_image(path)
    except Refusal as refusal:
        return f"{refusal.reason}: {refusal.detail}"
    except LiverpairError:
        return "usage"
    return ""


def _compressed(syntax: str) -> bytes:
    dataset = make_slice(numbered_pixels(3, rows=32, columns=32), (0, 0, 0))
    as_bytes(dataset)
    dataset.compress(syntax, generate_instance_uid=False)
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


SAMPLES = {
    "plain": lambda: as_bytes(make_slice(numbered_pixels(3), (0, 0, 0))),
    "implicit": lambda: as_bytes(make_slice(numbered_pixels(3), (0, 0, 0)), preamble=False),
    "deflated": lambda: as_bytes(make_slice(numbered_pixels(3), (0, 0, 0)), syntax="1.2.840.10008.1.2.1.99"),
    "enhanced": lambda: as_bytes(_enhanced()),
    "rle": lambda: _compressed(RLELossless),
    "jpeg-ls": lambda: _compressed(JPEGLSLossless),
    "jpeg-2000": lambda: _compressed(JPEG2000Lossless),
}


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_damaged_image_is_read_or_refused(sample: str, tmp_path: Path) -> None:
    content = SAMPLES[sample]()
    rng = random.Random(20261122)
    outcomes = {_survives(_damaged(content, rng), tmp_path) for _ in range(80)}
    assert not [outcome for outcome in outcomes if "P1" in outcome or "1.2.3" in outcome]
    assert len(outcomes) > 2, "the damage should be noticed in more than one way"


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP", "structures"])
def test_damaged_regions_are_read_or_refused(kind: str, tmp_path: Path) -> None:
    dataset = (
        _structure_set(("a", [0.0, 0, 5, 9, 0, 5, 9, 9, 5])) if kind == "structures" else _segmentation(kind, [0, 2])
    )
    content = as_bytes(dataset)
    rng = random.Random(7)
    for _ in range(120):
        path = tmp_path / "file"
        path.write_bytes(_damaged(content, rng))
        try:
            load_labels(path, like=_grid())
        except LiverpairError:
            continue


def test_a_dataset_that_lacks_anything_is_refused() -> None:
    """Each element in turn is removed: regions and masks come out, or a refusal."""
    for source, read in (
        (_segmentation("BINARY", [0, 2]), read_segmentation),
        (_structure_set(("a", [0.0, 0, 5, 9, 0, 5, 9, 9, 5])), read_regions),
    ):
        content = as_bytes(source)
        for tag in list(source.keys()):
            dataset = pydicom.dcmread(io.BytesIO(content))
            del dataset[tag]
            try:
                found = read(dataset)
            except Refusal:
                continue
            if isinstance(found, tuple):
                fill_contours(found[0], _grid())


def test_real_files_of_many_kinds_survive_damage(shared_data: Path, tmp_path: Path) -> None:
    """Scanning only: the header, where nested private sequences of real scanners lie."""
    rng = random.Random(5)
    outcomes: dict[str, int] = {}
    for archive in sorted(shared_data.rglob("*.zip")):
        with zipfile.ZipFile(archive) as members:
            names = [
                n for n in sorted(members.namelist()) if not n.endswith(("/", ".gz", ".nrrd", ".md", ".png", ".jpg"))
            ]
            for name in names[:: max(1, len(names) // 3)]:
                content = members.read(name)[:60_000]
                for _ in range(4):
                    try:
                        scan("x", io.BytesIO(_damaged(content, rng)))
                        reason = ""
                    except Refusal as refusal:
                        reason = refusal.reason
                    outcomes[reason] = outcomes.get(reason, 0) + 1
    assert sum(outcomes.values()) > 200
    assert len(outcomes) > 2


def test_noise_in_the_pixels_never_breaks_the_volume(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(-32768, 32767, (4, 5)).astype(np.int16)
    path = tmp_path / "x"
    path.write_bytes(as_bytes(make_slice(pixels, (0, 0, 0), RescaleSlope=1e-5, RescaleIntercept=-3.0)))
    assert np.allclose(load_image(path).values[:, :, 0], pixels.T * 1e-5 - 3.0)


def test_a_few_hundred_files_damaged_in_every_way_give_no_finding() -> None:
    """The harness itself, on what every machine has: `python -m benchmarks.fuzz` reads fifty thousand."""
    tally = fuzz.run(250, 20261122, 1, shared=False)
    assert tally.files == 250
    assert tally.findings == []
    assert {"index: kept", "volume: read", "regions: read", "nifti: read"} <= set(tally.codes)


@pytest.mark.slow
def test_thousands_of_damaged_real_files_give_no_finding(shared_data: Path) -> None:
    tally = fuzz.run(5000, 7, 2)
    assert tally.files == 5000
    assert tally.findings == []
    assert tally.slowest[0] < fuzz.CPU_LIMIT_S
    assert tally.largest[0] < fuzz.MEMORY_LIMIT_MB


def test_a_case_is_the_same_whenever_it_is_drawn() -> None:
    seeds = all_seeds(shared=False)
    drawn = [fuzz.case(seeds, 3, number)[1] for number in range(60)]
    assert drawn == [fuzz.case(seeds, 3, number)[1] for number in range(60)]
    assert len({damage.content for damage in drawn}) > 55
    assert drawn != [fuzz.case(seeds, 4, number)[1] for number in range(60)]


def _damage_all(monkeypatch: pytest.MonkeyPatch, work: object) -> fuzz.Tally:
    """The harness with ``work`` in place of reading."""
    monkeypatch.setattr(fuzz, "all_seeds", lambda shared: (Seed("x", "image", b"x" * 400),))
    monkeypatch.setattr(fuzz, "sound_files", lambda seeds, folder: [])
    monkeypatch.setattr(fuzz, "exercise", work)
    return fuzz.run(3, 1, 1)


def test_the_harness_finds_a_crash_a_hang_a_hog_and_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watchdog that never barked would prove nothing."""
    monkeypatch.setattr(fuzz, "KILL_CPU_S", 0.3)

    def crash(*_: object, **__: object) -> None:
        os.abort()

    def hang(*_: object, **__: object) -> None:
        while True:
            pass

    def hog(*_: object, **__: object) -> Outcome:
        assert np.ones(600 * 2**17).sum() > 0
        return Outcome()

    assert {text for _, text in _damage_all(monkeypatch, crash).findings} == {"crash: the process ended (SIGABRT)"}
    assert all("hang" in text for _, text in _damage_all(monkeypatch, hang).findings)
    monkeypatch.setattr(fuzz, "KILL_CPU_S", 60.0)
    hogs = [text for _, text in _damage_all(monkeypatch, hog).findings if "memory" in text]
    assert len(hogs) == 3


def test_the_harness_finds_a_cut_image_that_gives_a_volume(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(encoded(make_slice(numbered_pixels(3), (0, 0, 0))))
    with Catalogue.open(tmp_path / "index.sqlite") as catalogue:
        assert exercise(path, catalogue).findings == []
        assert any("cut" in text for text in exercise(path, catalogue, may_exist=False).findings)
