"""Read a pair's volumes: CT in HU, PET in SUVbw, the MRI's sequences; a refusal is kept beside what could be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from liverpair.core.errors import Refusal, SuvRefusal
from liverpair.core.study import Images, StudyPair
from liverpair.core.units import Unit
from liverpair.core.volume import Volume
from liverpair.dicom.geometry import missing_ends
from liverpair.dicom.read import read_headers, read_stack, stack_warnings
from liverpair.dicom.records import Stack
from liverpair.dicom.suv import SuvSettings, suv_factors

__all__ = ["read_images", "read_suv"]


def read_suv(stack: Stack, settings: SuvSettings) -> tuple[Volume, dict[str, Any]]:
    """The stack in SUVbw (g/mL) and the provenance of the factor; raises SuvRefusal where a guess would be needed."""
    result = suv_factors(read_headers(stack), settings)
    if result.status != "ok":
        raise SuvRefusal(result.reason, result.detail)
    # the factors go in slice by slice before unevenly spaced slices are interpolated
    return read_stack(stack, factors=result.factor, unit=Unit.SUVBW), result.as_json()


def _warnings(stack: Stack) -> list[str]:
    """What a reader of this volume must know."""
    found = list(stack_warnings(stack))
    missing = missing_ends(stack.instances)
    if missing:
        found.append(f"{missing} slices that the header promises are not there; the volume ends early")
    return found


def read_images(pair: StudyPair, stacks: Mapping[str, Stack], settings: SuvSettings) -> Images:
    """All volumes of a pair by role; what cannot be read or quantified is refused with its reason, the rest goes on."""
    refusals: dict[str, tuple[str, str]] = {}
    provenance: dict[str, Any] = {}
    volumes: dict[str, Volume] = {}
    warnings = {role: found for role, stack in sorted(stacks.items()) if (found := _warnings(stack))}
    if warnings:
        provenance["image_warnings"] = warnings
    for role, stack in sorted(stacks.items()):
        try:
            if role == "pet-ac":
                provenance["pet_kernels"] = [str(kernel) for kernel in stack.series.values("ConvolutionKernel")]
                volumes[role], provenance["suv"] = read_suv(stack, settings)
            else:
                volumes[role] = read_stack(stack)
        except Refusal as refusal:
            refusals[role] = (refusal.reason, refusal.detail)
    provenance["series_uids"] = {role: stack.series.series_uid for role, stack in sorted(stacks.items())}
    ct = volumes.get("ct")
    if ct is not None and ct.unit is not Unit.HOUNSFIELD:
        refusals["ct"] = (
            "not_hounsfield",
            f"the CT's voxel values are {ct.unit.value}, not HU; check its rescale tags",
        )
        ct = None
    mr = {role: volume for role, volume in volumes.items() if role.startswith("mr-")}
    return Images(pair, volumes.get("pet-ac"), ct, mr, refusals, provenance)
