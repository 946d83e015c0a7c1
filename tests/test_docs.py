"""What the documentation says of reason codes is what the program can answer."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REFUSALS = ("Refusal", "SuvRefusal", "GeometryRefusal")


def _raised() -> set[str]:
    """Reason codes that the dicom room raises, from its sources."""
    found = set()
    for path in (ROOT / "pipeline" / "liverpair" / "dicom").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in REFUSALS
                and node.args
            ):
                code = node.args[0]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    found.add(code.value)
    return found


def _documented() -> set[str]:
    text = (ROOT / "docs" / "reasons.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z0-9_]+)` \|", text, flags=re.MULTILINE))


def test_every_reason_code_of_the_dicom_room_is_documented() -> None:
    raised = _raised()
    assert len(raised) > 60
    assert raised - _documented() == {"index_changed"}  # said by `process`, which then asks to pair again


def test_every_documented_reason_code_is_somewhere_in_the_program() -> None:
    sources = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "pipeline" / "liverpair").rglob("*.py"))
    built = {"no_pet", "no_mr", "mr_out_of_window", "pet_out_of_window", "mr_already_paired", "pet_already_paired"}
    assert {code for code in _documented() - built if f'"{code}"' not in sources} == set()
