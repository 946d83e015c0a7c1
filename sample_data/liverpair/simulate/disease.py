"""What disease and surgery did to a liver's shape and surroundings; the default is a healthy one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["HEALTHY", "LiverDisease"]


@dataclass(frozen=True, slots=True)
class LiverDisease:
    """Changes of one liver.

    ``ascites_mm``: thickness of the fluid around it. ``cirrhosis`` (0–1): a small right lobe, a large left lobe, a
    nodular surface. ``resected``: the side that a hemihepatectomy took. ``alike``: kidneys, spleen, heart and stomach
    have the liver's own intensity in every image but PET.
    """

    ascites_mm: float = 0.0
    cirrhosis: float = 0.0
    resected: Literal["", "left", "right"] = ""
    alike: bool = False


HEALTHY = LiverDisease()
