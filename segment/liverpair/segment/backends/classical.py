"""liverpair's own liver search as a backend: no learned weights."""

from __future__ import annotations

from dataclasses import dataclass, field

from liverpair.core.volume import Volume
from liverpair.segment.liver import LiverSegmentation, LiverSettings, segment_liver

__all__ = ["ClassicalBackend"]


@dataclass(frozen=True, slots=True)
class ClassicalBackend:
    """liverpair's own segmentation without learned weights."""

    settings: LiverSettings = field(default_factory=LiverSettings)
    name: str = "classical"

    def prepare(self, role: str) -> None:
        """Nothing is needed beyond liverpair itself."""

    def segment(self, image: Volume, role: str, pet: Volume | None = None) -> LiverSegmentation:
        """The liver found by ``segment_liver``."""
        return segment_liver(image, role, self.settings, pet)
