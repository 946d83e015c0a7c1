"""A packed header comes back bit by bit, whatever its neighbours were."""

from __future__ import annotations

import marshal
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from liverpair.dicom.attributes import WANTED
from liverpair.dicom.packing import MAX_EXCEPTIONS, VARYING, Base, PackedObject, Packer, sop_instance_uid, unpack
from liverpair.dicom.records import InstanceRecord, LayeredHeader

NUMBERS = st.sampled_from([0.0, -0.0, 1.0, 1, 0, -1, 1e-300, 12345678901234567890, 0.1])
TEXTS = st.sampled_from(["", ".5", "1.2.3", "1.2.3.4", "1.2.4.4", "Dörfler", "\udcff", "a\\b", "1.2.3..7"])
VALUES = st.one_of(NUMBERS, TEXTS, st.lists(NUMBERS, min_size=1, max_size=3), st.just([{"CodeValue": "1", "N": 2.0}]))
KEYWORDS = ("SOPInstanceUID", "InstanceNumber", "ImagePositionPatient", "PatientID", "Rows", "EchoTime", *WANTED[50:70])
HEADERS = st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=len(KEYWORDS))


def _restored(packed: PackedObject) -> list[InstanceRecord]:
    return unpack("x", Base.stored(packed.base.content), packed.frames, packed.own)


def _exact(header: Any) -> bytes:
    return marshal.dumps(sorted(dict(header).items()), 2)


@given(st.lists(HEADERS, min_size=1, max_size=6))
def test_headers_of_one_series_come_back_whatever_came_before(headers: list[dict[str, Any]]) -> None:
    packer = Packer()
    for header in headers:
        header |= {"SeriesInstanceUID": "1"}
        header.pop("PatientID", None)
        (record,) = _restored(packer.pack([InstanceRecord("x", None, header)]))
        assert _exact(record.header) == _exact(header)
        assert record.frame is None


@given(st.lists(HEADERS, min_size=1, max_size=6))
def test_frames_of_one_object_come_back(headers: list[dict[str, Any]]) -> None:
    packed = Packer().pack([InstanceRecord("x", number, header) for number, header in enumerate(headers)])
    records = _restored(packed)
    assert [r.frame for r in records] == list(range(len(headers)))
    assert [_exact(r.header) for r in records] == [_exact(header) for header in headers]
    assert packed.frames == len(headers)
    uid = sop_instance_uid(packed.base, packed.frames, packed.own)
    assert uid == str(headers[0].get("SOPInstanceUID", ""))


def test_slices_of_a_series_share_one_base_and_a_stranger_gets_its_own() -> None:
    packer = Packer()
    words = [word for word in WANTED[60:] if word not in VARYING]
    common = {word: f"value of {word}" for word in words} | {"SeriesInstanceUID": "1.2"}
    slices = [common | {"InstanceNumber": n, "SOPInstanceUID": f"1.2.9.{n}", "StationName": f"{n}"} for n in range(50)]
    packed = [packer.pack([InstanceRecord("x", None, header)]) for header in slices]
    assert len({p.base.digest for p in packed}) == 1
    assert max(len(p.own) for p in packed) < 40
    stranger = common | dict.fromkeys(words[: MAX_EXCEPTIONS + 1], "other")
    assert packer.pack([InstanceRecord("x", None, stranger)]).base.digest != packed[0].base.digest


@pytest.mark.parametrize("other", [{"b": 3}, {"c": 1}])
def test_a_layered_header_is_a_mapping_of_both_layers(other: dict[str, int]) -> None:
    shared = {"a": 1, "b": 1}
    header = LayeredHeader({"b": 2}, shared)
    assert dict(header) == {"a": 1, "b": 2}
    assert header == {"b": 2, "a": 1}
    assert (len(header), list(header), "a" in header, "z" in header) == (2, ["a", "b"], True, False)
    assert header.get("z", 7) == 7
    assert header | other == {"a": 1, "b": 2} | other
    with pytest.raises(KeyError):
        header["z"]
    one, two = pickle.loads(pickle.dumps([header, LayeredHeader({}, shared)]))
    assert one == header
    assert one._shared is two._shared
