"""Say in words where in the liver a lesion lies, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["location_sentence"]

#: Below this probability neither lobe is named: the place lies on the border between both.
NAMED = 0.75
#: From this probability on the dome is mentioned.
DOME = 0.5


def location_sentence(location: Mapping[str, Any]) -> str:
    """One sentence for a reader from the fields of a ``LiverLocation``; every share is a probability."""
    deep, sd = location["capsule_mm"], location["capsule_sd_mm"]
    parts = [_segment(location)]
    if location["dome_probability"] >= DOME:
        parts.append(f"in the dome ({location['dome_probability']:.0%})")
    if "outside" in location["flags"]:
        parts.append("outside the liver's outline")
    else:
        parts.append(f"{deep:.0f} ± {sd:.0f} mm below the capsule")
    if "fov_truncated" in location["flags"]:
        parts.append("the field of view cuts the liver: place within what is seen")
    return ", ".join(parts)


def _segment(location: Mapping[str, Any]) -> str:
    """The sector where it is likely enough, else the lobe, else that neither can be told."""
    if "atypical_shape" in location["flags"]:
        return "lobe unknown (the liver is not shaped like a whole one in its usual place)"
    sector, chance = location["sector"].replace("_", " "), location["sector_probability"]
    if chance >= NAMED:
        return f"{sector} sector ({chance:.0%})"
    lobe, side = location["lobe"], location["lobe_probability"]
    if side >= NAMED:
        return f"{lobe} lobe ({side:.0%}), likeliest the {sector} sector ({chance:.0%})"
    return f"between the lobes, likeliest the {sector} sector ({chance:.0%})"
