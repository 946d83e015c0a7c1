"""Which lesions touch, and where disease is so confluent that its volume says something and a count does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from liverpair.core.errors import Refusal
from liverpair.core.volume import LabelMap, Mask

__all__ = ["Confluence", "ConfluenceSettings", "confluence", "contact_flags"]


@dataclass(frozen=True, slots=True)
class ConfluenceSettings:
    """``fewest_lesions`` that touch one another in a chain are confluent: where one ends is then a matter of the
    threshold. ``largest_burden``: above this share of the liver disease is diffuse, whatever touches.
    """

    fewest_lesions: int = 3
    largest_burden: float = 0.5


@dataclass(frozen=True, slots=True)
class Confluence:
    """``touching``: labels that share a voxel face with another; ``clusters``: labels of each confluent region, the
    largest first; ``burden_ml`` the volume of all regions in the liver and ``burden_fraction`` its share of it (None
    without a liver); ``countable`` is False where numbers of lesions should not be reported, ``said`` why.
    """

    touching: tuple[int, ...]
    clusters: tuple[tuple[int, ...], ...]
    burden_ml: float
    burden_fraction: float | None
    countable: bool
    said: str


def _contacts(labels: LabelMap) -> set[tuple[int, int]]:
    """Pairs of labels that share a voxel face, the smaller first."""
    found: set[tuple[int, int]] = set()
    for axis in range(3):
        values = np.moveaxis(labels.values, axis, 0)
        one, other = values[:-1], values[1:]
        meet = (one > 0) & (other > 0) & (one != other)
        pairs = np.unique(np.sort(np.column_stack([one[meet], other[meet]]), axis=1), axis=0)
        found |= {(int(a), int(b)) for a, b in pairs}
    return found


def _clusters(contacts: set[tuple[int, int]], fewest: int, sizes: dict[int, int]) -> tuple[tuple[int, ...], ...]:
    """Groups of at least ``fewest`` labels that hang together, the largest volume first."""
    if not contacts:
        return ()
    ends = np.array(sorted(contacts))
    names, index = np.unique(ends, return_inverse=True)
    index = index.reshape(ends.shape)
    graph = coo_matrix((np.ones(len(ends)), (index[:, 0], index[:, 1])), shape=(len(names), len(names)))
    count, of_name = connected_components(graph, directed=False)
    groups = [tuple(int(n) for n in names[of_name == number]) for number in range(count)]
    large = [group for group in groups if len(group) >= fewest]
    return tuple(sorted(large, key=lambda g: (-sum(sizes[n] for n in g), g)))


def confluence(labels: LabelMap, liver: Mask | None = None, settings: ConfluenceSettings | None = None) -> Confluence:
    """Contacts and burden of one examination's delineated lesions; ``liver`` on the same grid.

    Only what lies in the liver is burden. Raises Refusal("grid_mismatch").
    """
    settings = settings or ConfluenceSettings()
    if liver is not None and not liver.grid.matches(labels.grid):
        raise Refusal("grid_mismatch", "the liver mask is not on the label map's grid; resample it first")
    numbers, counts = np.unique(labels.values[labels.values > 0], return_counts=True)
    sizes = {int(n): int(c) for n, c in zip(numbers, counts, strict=True)}
    contacts = _contacts(labels)
    clusters = _clusters(contacts, settings.fewest_lesions, sizes)
    diseased = labels.values > 0 if liver is None else (labels.values > 0) & liver.values
    burden = int(np.count_nonzero(diseased)) * labels.grid.voxel_volume_mm3 / 1000.0
    share = None if liver is None or liver.is_empty else burden / liver.volume_ml
    diffuse = share is not None and share > settings.largest_burden
    said = ""
    if clusters or diffuse:
        lesions = sum(len(group) for group in clusters)
        of_liver = "" if share is None else f", {100 * share:.0f} % of the liver"
        why = f"{lesions} lesions run into one another" if clusters else "more than half of the liver is diseased"
        said = f"Confluent disease: {why}; the burden is {burden:.0f} mL{of_liver}, and a count means little."
    touching = tuple(sorted({n for pair in contacts for n in pair}))
    return Confluence(touching, clusters, burden, share, not said, said)


def contact_flags(together: Confluence | None, label: int) -> tuple[str, ...]:
    """touching: shares a border with another lesion; confluent: one of so many that a count means little."""
    if together is None or label not in together.touching:
        return ()
    return ("confluent",) if any(label in group for group in together.clusters) else ("touching",)
