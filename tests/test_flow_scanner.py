"""Which resolution and noise the detectability model is given, and where they are said to come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from liverpair.core.geometry import Grid
from liverpair.core.lesion import Detection, ReferenceRegion
from liverpair.core.units import Unit
from liverpair.core.volume import LabelMap, Volume
from liverpair.flow.scanner import ScannerSettings, describe_scanner, scanner_from

GRID = Grid((4, 4, 4), np.diag([4.0, 4.0, 2.0, 1.0]))
PET = Volume(np.ones(GRID.shape), GRID, Unit.SUVBW)
SEARCH = {"search_fwhm_mm": [0.0, 4.9], "search_cov": [0.12, 0.06], "search_skew": [0.0, 0.0]}


def described(
    noise: float = 5.0, kernel: float | None = None, edge: float | None = None, **settings: float
) -> dict[str, Any]:
    reference = ReferenceRegion(np.zeros(3), 15.0, 5.0, 0.5, noise, "right_lobe")
    facts = {"threshold_z": 4.5, "noise_fwhm_mm": noise, "edge_fwhm_mm": edge, **SEARCH}
    detection = Detection(LabelMap(np.zeros(GRID.shape), GRID), (), facts)
    return describe_scanner(PET, reference, detection, kernel, ScannerSettings(**settings))


@pytest.mark.parametrize(
    ("given", "mm", "source"),
    [
        ({}, 7.0, "default"),
        ({"kernel": 2.0}, 29**0.5, "header's filter of 2 mm"),
        ({"kernel": 9.0}, 8.0, "header's filter of 9 mm"),
        ({"kernel": 2.0, "pet_fwhm_mm": 6.2}, 6.2, "settings"),
        ({"noise": 11.0}, 11.0, "noise autocorrelation"),
        ({"edge": 6.5}, (6.5**2 - 12 * 2.354820045**2 / 12) ** 0.5, "strong foci"),
        ({"edge": 3.0}, 5.0, "strong foci"),
        ({"edge": 12.0}, 7.0, "default"),
    ],
)
def test_the_resolution_has_a_source_and_the_better_one_wins(given: dict[str, Any], mm: float, source: str) -> None:
    found = described(**given)
    assert found["fwhm_mm"] == pytest.approx(mm, abs=1e-6)
    assert source in found["fwhm_source"]


def test_the_search_s_own_noise_reaches_the_model() -> None:
    scanner = scanner_from(described())
    assert scanner is not None
    assert scanner.search_cov == (0.12, 0.06)
    assert scanner.search_fwhm_mm == (4.9,)
    assert scanner.voxel_mm == pytest.approx(12**0.5)  # root mean square of 4, 4 and 2
    assert scanner_from(None) is None


def test_a_published_level_is_a_threshold_in_this_liver_s_noise() -> None:
    reference = ReferenceRegion(np.zeros(3), 15.0, 5.0, 0.5, 5.0, "right_lobe")
    facts = {"threshold_z": 4.5, "noise_fwhm_mm": 5.0, "level_suv": 10.0, **SEARCH}
    detection = Detection(LabelMap(np.zeros(GRID.shape), GRID), (), facts)
    found = describe_scanner(PET, reference, detection, None, ScannerSettings())
    assert found["threshold"] == pytest.approx(10.0)  # (10 − 5) / 0.5
    assert found["search_fwhm_mm"] == []
    below = Detection(detection.labels, (), facts | {"level_suv": 3.0})
    assert describe_scanner(PET, reference, below, None, ScannerSettings())["threshold"] > 0
