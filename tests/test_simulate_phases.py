"""The simulated CT's contrast phases: what enhances does, and nothing else about the pair changes."""

from __future__ import annotations

import numpy as np
import pytest
from liverpair.simulate import PairSettings, simulate_pair
from liverpair.simulate.appearance import CT_PHASES, lesion_value, tissue_table


def test_vessels_rise_above_the_liver_and_metastases_change_sides() -> None:
    native, arterial, portal = (tissue_table(image, 5.0, 0.0, 0.0) for image in ("ct", *CT_PHASES))
    assert native["portal_vein"] < native["liver"] < portal["liver"] < portal["portal_vein"]
    assert arterial["hepatic_vein"] < arterial["liver"]
    assert arterial["fat"] == portal["fat"] == native["fat"]
    values = [lesion_value(image, "metastasis", 3.0, 5.0, 1.0) for image in CT_PHASES]
    assert values[0] is not None
    assert values[1] is not None
    assert values[0] > arterial["liver"]
    assert values[1] < portal["liver"]


@pytest.mark.slow
def test_a_phase_changes_the_ct_and_nothing_else() -> None:
    native, portal = (
        simulate_pair(5, PairSettings(sequences=("mr-hbp",), ct_phase=phase)) for phase in ("native", "portal")
    )
    np.testing.assert_array_equal(native.pet.values, portal.pet.values)
    np.testing.assert_array_equal(native.mr["mr-hbp"].values, portal.mr["mr-hbp"].values)
    np.testing.assert_array_equal(native.ct_liver.values, portal.ct_liver.values)
    rise = np.median(portal.ct.values[portal.ct_liver.values]) - np.median(native.ct.values[native.ct_liver.values])
    assert 45 < rise < 65
