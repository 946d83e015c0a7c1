"""What a result was made from: canonical JSON, its hash, and the version that made it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from enum import Enum
from importlib import metadata
from typing import Any

import numpy as np

__all__ = ["canonical_json", "fingerprint", "plain", "version"]


#: What JSON has as it stands; floats are asked whether they are finite.
PLAIN = frozenset({str, int, bool, type(None)})


def version() -> str:
    """The installed liverpair's version."""
    try:
        return metadata.version("liverpair")
    except metadata.PackageNotFoundError:  # run from a source tree that was never installed
        return "0+unknown"


def plain(value: Any) -> Any:
    """Turn dataclasses, enums, numpy scalars and arrays, tuples and mappings into JSON's own types."""
    if type(value) in PLAIN:  # nearly all that tables hold: not asked whether it is a dataclass, an enum, an array ...
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON knows no NaN; an absent number is null
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def canonical_json(value: Any, indent: int | None = None) -> str:
    """JSON with sorted keys and plain numbers: the same value always gives the same bytes."""
    return json.dumps(plain(value), sort_keys=True, ensure_ascii=False, allow_nan=False, indent=indent)


def fingerprint(value: Any) -> str:
    """SHA-256 (hex) of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
