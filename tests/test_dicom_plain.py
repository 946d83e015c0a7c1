"""Values read straight from an element's bytes are the values that pydicom gives."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pydicom
import pytest
from liverpair.core.errors import Refusal
from liverpair.dicom import plain
from liverpair.dicom.scan import scan_through_pydicom
from pydicom.dataset import Dataset

from tests.dicom_phantom import as_bytes, make_slice, numbered_pixels


def _both_ways(content: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    def headers() -> Any:
        try:
            return [dict(record.header) for record in scan_through_pydicom("x", io.BytesIO(content))]
        except Refusal as refusal:
            return refusal.reason

    quick = headers()
    with monkeypatch.context() as patch:
        patch.setattr(plain, "quick_values", lambda content, vr, little_endian: None)
        return quick, headers()


@pytest.mark.parametrize(
    "text",
    ["plain", " padded ", "a\\b", "\\", "Lebermetastasen groß", "", "1.5\\2.5", "nan", "1e400", "abc", "007", "1.0"],
)
@pytest.mark.parametrize("tag", [0x0008103E, 0x00080008, 0x00180081, 0x00280030, 0x00200013, 0x00204000, 0x00100020])
@pytest.mark.parametrize("preamble", [True, False])
def test_awkward_values_read_the_same(tag: int, text: str, preamble: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = make_slice(numbered_pixels(0), (0, 0, 0))
    dataset.SpecificCharacterSet = "ISO_IR 100"
    raw = text.encode("latin-1")
    vr = pydicom.datadict.dictionary_VR(tag)
    holder = Dataset()
    holder.add_new(tag, "LO" if vr in ("DS", "IS", "CS") else vr, text)
    dataset[tag] = holder[tag]
    dataset[tag].VR = "UN"
    dataset[tag].value = raw + b" " * (len(raw) % 2)
    quick, slow = _both_ways(as_bytes(dataset, preamble=preamble), monkeypatch)
    assert quick == slow


def test_real_headers_read_the_same(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = 0
    for archive in sorted(shared_data.rglob("*.zip")):
        with zipfile.ZipFile(archive) as members:
            names = sorted(name for name in members.namelist() if not name.endswith("/"))
            for name in names[:: max(1, len(names) // 4)]:
                quick, slow = _both_ways(members.read(name), monkeypatch)
                assert quick == slow, name
                compared += isinstance(quick, list)
    assert compared > 60
