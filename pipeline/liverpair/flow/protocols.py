"""How every image of a pair was acquired: slices, timing, diffusion weighting, contrast agent, reconstruction.

What the headers say goes to tables/protocols.csv when pairs are made, one row a pair and image, and from there into the
report's table of imaging parameters (STARD 10a and 10b: tests in sufficient detail to be replicated).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from liverpair.core.study import StudyPair
from liverpair.dicom.records import SeriesRecord
from liverpair.flow.tables import Row, format_table, parse_table
from liverpair.flow.workspace import Workspace, write_text

__all__ = ["Protocols", "manufacturer_name", "note_protocols", "protocol_rows", "read_protocols", "write_protocols"]

#: Columns of tables/protocols.csv after pair_id and image, with what they are called in the report.
FIELDS = {
    "slice_mm": "Slice thickness, mm",
    "pixel_mm": "Pixel, mm",
    "tr_ms": "Repetition time, ms",
    "te_ms": "Echo time, ms",
    "flip_deg": "Flip angle, °",
    "b_values": "b values, s/mm²",
    "kv": "Tube voltage, kV",
    "kernel": "Reconstruction kernel",
    "reconstruction": "Reconstruction",
    "frame_s": "Time per bed position, s",
    "contrast": "Contrast agent",
}
COLUMNS = ("pair_id", "image", *FIELDS)
IMAGES = {
    "ct_series_uid": "CT of the PET/CT",
    "pet_series_uid": "PET",
    "mr_hbp_series_uid": "MRI, hepatobiliary T1",
    "mr_t2_series_uid": "MRI, T2",
    "mr_dwi_series_uid": "MRI, diffusion",
}
#: Which fields belong to which modality: an echo time that a CT's header holds by mistake is not printed.
OF_MODALITY = {
    "CT": ("slice_mm", "pixel_mm", "kv", "kernel", "contrast"),
    "PT": ("slice_mm", "pixel_mm", "reconstruction", "frame_s"),
    "MR": ("slice_mm", "pixel_mm", "tr_ms", "te_ms", "flip_deg", "b_values", "contrast"),
}
NUMBERS = {
    "slice_mm": "SliceThickness", "tr_ms": "RepetitionTime", "te_ms": "EchoTime", "flip_deg": "FlipAngle", "kv": "KVP",
}  # fmt: skip
TEXTS = {"kernel": "ConvolutionKernel", "reconstruction": "ReconstructionMethod"}
#: Parts of what ContrastBolusAgent (0018,0010) says, and the substance. The field is typed by hand ("Eovist 10 ml"), so
#: its own words go into no table: they may hold anything.
AGENTS = {
    "gadoxet": "gadoxetate", "primovist": "gadoxetate", "eovist": "gadoxetate", "eob": "gadoxetate",
    "gadobena": "gadobenate", "multihance": "gadobenate", "gadobutrol": "gadobutrol", "gadovist": "gadobutrol",
    "gadavist": "gadobutrol", "gadoter": "gadoterate", "dotarem": "gadoterate", "clariscan": "gadoterate",
    "prohance": "gadoteridol", "gadoteridol": "gadoteridol",
    "magnevist": "gadopentetate", "gadopentet": "gadopentetate", "omniscan": "gadodiamide",
    "gadodiamid": "gadodiamide", "gadopiclenol": "gadopiclenol", "elucirem": "gadopiclenol", "vueway": "gadopiclenol",
    "imeron": "iomeprol", "iomeron": "iomeprol", "iomeprol": "iomeprol", "ultravist": "iopromide",
    "iopromid": "iopromide", "omnipaque": "iohexol", "accupaque": "iohexol", "iohexol": "iohexol",
    "isovue": "iopamidol", "iopamid": "iopamidol", "solutrast": "iopamidol", "visipaque": "iodixanol",
    "iodixanol": "iodixanol", "xenetix": "iobitridol", "iobitridol": "iobitridol", "optiray": "ioversol",
    "ioversol": "ioversol",
}  # fmt: skip
NO_AGENT = frozenset({"", "no", "none", "nein", "ohne", "n", "native", "nativ", "without", "no contrast", "0"})
#: Above this many different values a median and a range say more than a list.
LISTED = 4
#: Beginnings of Manufacturer (0008,0070), which one maker writes in several ways over the years, and his name.
MAKERS = {
    "siemens": "Siemens", "ge": "GE", "general electric": "GE", "philips": "Philips", "adac": "Philips",
    "marconi": "Philips", "picker": "Philips", "toshiba": "Canon/Toshiba", "canon": "Canon/Toshiba",
    "uih": "United Imaging", "united imaging": "United Imaging", "hitachi": "Hitachi", "fujifilm": "Fujifilm",
    "mediso": "Mediso", "cps": "Siemens", "cti": "Siemens", "neusoft": "Neusoft",
}  # fmt: skip
SHORT = 3
Protocols = dict[str, Mapping[str, str]]


def manufacturer_name(written: str) -> str:
    """The maker whatever way the header spells him ("SIEMENS", "Siemens Healthineers"); unknown ones as written."""
    plain = " ".join(written.split())
    word = plain.casefold()
    for start, name in MAKERS.items():  # a short one must be a whole word: "GE", not "Gerätebau"
        if word.startswith(start) and (len(start) > SHORT or word[len(start) :][:1] in ("", " ")):
            return name
    return plain


def _number(value: Any) -> float | None:
    """A header's number; of several the first."""
    if isinstance(value, list):
        value = value[0] if value else None
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if np.isfinite(found) and found > 0 else None


def _plain(value: float | None) -> str:
    """At most three figures: headers hold 1.1904762 for a pixel of 1.19 mm."""
    return "" if value is None else f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def _b_values(series: SeriesRecord) -> str:
    found = {float(v) for v in series.values("DiffusionBValue") if isinstance(v, int | float) and 0 <= v <= 5000}
    return " ".join(f"{b:g}" for b in sorted(found))


def _text(series: SeriesRecord, word: str) -> str:
    """A header's words, of several the first."""
    value = series.first(word, "")
    return " ".join(str(value[0] if isinstance(value, list) and value else value or "").split())[:60]


def _agent(written: str) -> str:
    """The substance that a contrast agent's name means; "" for none."""
    word = written.casefold()
    if word in NO_AGENT:
        return ""
    # "gadoteridol" begins like "gadoterate": the longest part that fits is meant
    best = max((part for part in AGENTS if part in word), key=len, default="")
    return AGENTS.get(best, "an agent without a known name")


def _facts(series: SeriesRecord, modality: str) -> dict[str, str]:
    """What a series' headers say, as text cells."""
    found = {name: _plain(_number(series.first(word))) for name, word in NUMBERS.items()}
    found["pixel_mm"] = _plain(_number(series.first("PixelSpacing")))
    found["b_values"] = _b_values(series)
    frame = _number(series.first("ActualFrameDuration"))  # ms (PS3.3 C.8.9.4)
    found["frame_s"] = _plain(None if frame is None else frame / 1000)
    for name, word in TEXTS.items():
        found[name] = _text(series, word)
    found["contrast"] = _agent(_text(series, "ContrastBolusAgent"))
    return {name: found[name] for name in OF_MODALITY[modality]}


def note_protocols(groups: Iterable[Sequence[SeriesRecord]], found: Protocols) -> Iterator[Sequence[SeriesRecord]]:
    """The same groups; of each CT, PET and MRI series that passes, the protocol goes to ``found`` by series UID."""
    for group in groups:
        for series in group:
            modality = str(series.first("Modality") or "")
            if modality in OF_MODALITY:
                found[series.series_uid] = _facts(series, modality)
        yield group


def write_protocols(workspace: Workspace, pairs: Sequence[StudyPair], found: Protocols) -> None:
    """tables/protocols.csv: one row for every image of every pair."""
    rows: list[Row] = []
    for pair in pairs:
        for key in IMAGES:
            uid = getattr(pair, key)
            if uid and uid in found:
                rows.append({"pair_id": pair.pair_id, "image": key.removesuffix("_series_uid"), **found[uid]})
    write_text(workspace.tables / "protocols.csv", format_table(COLUMNS, rows))


def read_protocols(workspace: Workspace) -> list[dict[str, str]]:
    """tables/protocols.csv; empty where an older run paired."""
    path = workspace.tables / "protocols.csv"
    return parse_table(path, COLUMNS) if path.exists() else []


def _said(values: Sequence[str]) -> str:
    """Values with their numbers of pairs, or median and range where there are many; how many say nothing."""
    known = [v for v in values if v]
    found = Counter(known)
    if len(found) > LISTED and all(_number(v) is not None for v in known):
        numbers = [float(v) for v in known]
        text = f"median {np.median(numbers):.3g} (range {min(numbers):.3g} to {max(numbers):.3g})"
    elif len(found) == 1 and len(known) == len(values):
        text = known[0]
    else:
        text = ", ".join(f"{v} ({n})" for v, n in sorted(found.items(), key=lambda item: (-item[1], item[0])))
    silent = len(values) - len(known)
    return text + (f"; not stated: {silent}" if silent else "")


def protocol_rows(protocols: Sequence[Mapping[str, str]]) -> list[Row]:
    """The report's table of imaging parameters: image, parameter, value over the pairs; what nobody states is out."""
    rows: list[Row] = []
    for key, image in IMAGES.items():
        own = [row for row in protocols if row["image"] == key.removesuffix("_series_uid")]
        for name, parameter in FIELDS.items():
            values = [row.get(name, "") for row in own]
            if any(values):
                rows.append({"image": image, "pairs": len(own), "parameter": parameter, "value": _said(values)})
    return rows
