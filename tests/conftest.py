"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real DICOM beside the checkout; the test is skipped where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real DICOM is not at ../shared/data; see docs/development.md for what it holds")
    return SHARED_DATA


#: The files that take minutes, the longest first: a file is one worker's, and none of these may begin last.
LONGEST = ("test_study.py", "test_labels.py", "test_real_input.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Start with the longest files; the order of all others stays."""
    last = len(LONGEST)
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else last)


#: CI must fail or pass for the change, not for the draw; `--hypothesis-profile=explore` draws anew.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None)
settings.load_profile("ci")
