"""The columns of every table in a workspace: the contract that other programs read to the letter."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from liverpair.core.errors import UsageError

__all__ = ["COLUMNS", "Row", "format_table", "parse_table"]

Row = dict[str, Any]

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "series": (
        "series_uid", "study_uid", "patient_id", "accession_number", "modality", "role", "reason", "covers_liver",
        "coverage_reason", "tracer", "tracer_reason", "tracer_flags", "date", "n_frames", "n_stacks", "stacks",
        "manufacturer", "description",
    ),
    "pairs": (
        "pair_id", "patient_id", "pet_study_uid", "ct_series_uid", "pet_series_uid", "mr_study_uid",
        "mr_hbp_series_uid", "mr_t2_series_uid", "mr_dwi_series_uid", "pet_date", "mr_date", "interval_days",
        "tracer", "status", "reason",
    ),
    "exclusions": ("level", "id", "reason", "detail"),
    "labels": ("report_id", "status", "largest_mm", "count", "language", "evidence"),
    "lesions": (
        "pair_id", "lesion_id", "modality", "x_mm", "y_mm", "z_mm", "native_x_mm", "native_y_mm", "native_z_mm",
        "long_axis_mm", "short_axis_mm", "equivalent_diameter_mm", "diameter_ci_low_mm", "diameter_ci_high_mm",
        "volume_ml", "suv_max", "suv_mean", "suv_peak", "tlr", "z", "confidence", "matched_lesion_id",
        "match_distance_mm", "flags",
    ),
    "locations": (
        "pair_id", "lesion_id", "lobe", "lobe_probability", "sector", "sector_probability", "dome_probability",
        "capsule_mm", "capsule_sd_mm", "height", "height_sd", "flags", "text",
    ),
    "visibility": (
        "pair_id", "lesion_id", "diameter_mm", "pet_status", "t_median", "t_lower_quartile", "t_upper_quartile", "t_n",
        "t_source", "fwhm_mm", "fwhm_source", "liver_cov", "rc_max", "predicted_cnr", "p_detect", "breathing_mm",
        "predicted_cnr_breathing", "p_detect_breathing", "minimal_diameter_mm", "z_obs", "t95", "text",
    ),
    "calls": (
        "pair_id", "patient_id", "mr_image", "pet_image", "mr_report", "pet_report", "mr_consensus",
        "pet_consensus", "reference", "index", "outcome",
    ),
    "attribution": (
        "pair_id", "outcome", "primary_cause", "flags", "largest_undetected_mm", "below_size_threshold",
        "predicted_cnr", "p_detect", "t95", "explanation",
    ),
}  # fmt: skip


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return "" if not math.isfinite(value) else repr(float(value))
    if isinstance(value, tuple | list):
        return ";".join(_cell(item) for item in value)
    return str(value)


def format_table(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """The CSV text of a table: LF line ends, full precision, ISO dates, empty cells for absent values.

    A column that a row lacks is empty; a key that is not a column is an error of ours, never dropped silently.
    """
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    known = set(columns)
    for row in rows:
        unknown = set(row) - known
        if unknown:
            raise ValueError(f"row has columns the table does not: {sorted(unknown)}")
        writer.writerow([_cell(row.get(column)) for column in columns])
    return buffer.getvalue()


def parse_table(path: Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """Read a CSV with a header; refuse one that lacks a needed column, naming the columns that it has."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [column for column in needed if column not in (reader.fieldnames or [])]
            if missing:
                found = ", ".join(reader.fieldnames or []) or "nothing"
                raise UsageError(f"{path.name} lacks the column {', '.join(missing)} (it has: {found})")
            return [{key: (value or "") for key, value in row.items() if key is not None} for row in reader]
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}. Check the path and the permissions.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path.name} is not UTF-8 text; save it as CSV UTF-8 and try again.") from error
