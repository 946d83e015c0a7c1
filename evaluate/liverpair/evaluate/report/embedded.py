"""Pictures of a pair as the page holds them: embedded as JPEG or linked, and where their panels lie."""

from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from liverpair.evaluate.report.overview import panel_layout

__all__ = ["picture_layout", "picture_source"]

JPEG_QUALITY = 82


def _picture_uri(path: Path) -> str:
    """The PNG as an embedded JPEG: a third of the size, indistinguishable at this scale."""
    buffer = io.BytesIO()
    with Image.open(path) as image:
        image.convert("RGB").save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def picture_source(path: Path, pair_id: str, embed: bool) -> str:
    """Where the page finds a picture: in itself, or beside the report."""
    return _picture_uri(path) if embed else f"../cases/{pair_id}/{path.name}"


def picture_layout(path: Path) -> dict[str, float]:
    """Columns and rows of an overview and where its rows begin and end, for the cursor that all panels share."""
    with Image.open(path) as image:
        return panel_layout(image.width, image.height)
