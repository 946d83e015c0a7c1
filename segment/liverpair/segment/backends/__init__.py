"""Liver masks from elsewhere behind one protocol: given masks, TotalSegmentator, any nnU-Net v2 model folder.

Only this package knows torch, and only when a learned backend is asked for.
"""

from __future__ import annotations

from collections.abc import Callable

from liverpair.core.errors import UsageError
from liverpair.segment.backends.classical import ClassicalBackend
from liverpair.segment.backends.given import GivenMaskBackend
from liverpair.segment.backends.nnunet import NnunetBackend
from liverpair.segment.backends.protocol import LiverBackend
from liverpair.segment.backends.totalsegmentator import TotalSegmentatorBackend

__all__ = [
    "BACKENDS",
    "ClassicalBackend",
    "GivenMaskBackend",
    "LiverBackend",
    "NnunetBackend",
    "TotalSegmentatorBackend",
    "backend",
]

#: Backends by the name used in settings; each value builds one from keyword arguments.
BACKENDS: dict[str, Callable[..., LiverBackend]] = {
    "classical": ClassicalBackend,
    "given": GivenMaskBackend,
    "totalsegmentator": TotalSegmentatorBackend,
    "nnunet": NnunetBackend,
}


def backend(name: str, **options: object) -> LiverBackend:
    """Build a backend by name; UsageError for an unknown name or option."""
    if name not in BACKENDS:
        raise UsageError(f"no liver backend {name!r}; known: {', '.join(sorted(BACKENDS))}")
    try:
        return BACKENDS[name](**options)
    except TypeError as error:
        raise UsageError(f"liver backend {name!r}: {error}") from error
