"""How small a lesion one PET can show: synthetic lesions inserted into it and searched by liverpair's own detector."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from liverpair.core.errors import Refusal, UsageError
from liverpair.core.lesion import Detection, ReferenceRegion
from liverpair.core.provenance import canonical_json, plain, version
from liverpair.core.units import Unit
from liverpair.core.volume import Mask, Volume
from liverpair.dicom.load import SeveralVolumesError, find_stacks, load_image, load_mask
from liverpair.dicom.nifti import is_nifti
from liverpair.dicom.read import read_stack
from liverpair.dicom.records import Stack
from liverpair.dicom.resolution import filter_fwhm_mm
from liverpair.dicom.roles import SeriesRole, classify
from liverpair.evaluate.detectability import Scanner, detection_margin, minimal_diameter, p_detect
from liverpair.evaluate.insertion import InsertSettings
from liverpair.evaluate.report.sensitivity_figure import draw_sensitivity
from liverpair.evaluate.size_sensitivity import SensitivitySettings, half_sizes, sensitivity_rows, try_insertions
from liverpair.flow.answer import Answer
from liverpair.flow.config import Settings
from liverpair.flow.images import read_suv
from liverpair.flow.livers import find_liver
from liverpair.flow.progress import bar
from liverpair.flow.scanner import describe_scanner, scanner_from
from liverpair.flow.tables import format_table
from liverpair.flow.workspace import write_text
from liverpair.register.resample import resample_mask
from liverpair.segment.pet_lesions import detect_pet
from liverpair.segment.reference_region import liver_reference

__all__ = ["DetectabilityRequest", "chosen_pet", "ct_of", "detectability"]

COLUMNS = (
    "ratio", "diameter_mm", "inserted", "found", "sensitivity", "ci_low", "ci_high", "rc_max", "predicted_cnr",
    "p_detect",
)  # fmt: skip
#: Around the liver this much of the PET is kept: a focus' background and a hot neighbour's blur reach no further.
MARGIN_MM = 60.0


@dataclass(frozen=True, slots=True)
class DetectabilityRequest:
    """What was asked for: the PET, where its liver is, and what to insert."""

    series: Path
    output: Path
    liver: Path | None = None
    which: str | None = None
    breathing_mm: float = 0.0
    trials: SensitivitySettings = field(default_factory=SensitivitySettings)


@dataclass(frozen=True, slots=True, eq=False)
class _Pet:
    """A PET in SUVbw, its liver on the same grid, where that came from, and the filter that the header names."""

    suv: Volume
    liver: Mask
    liver_source: str
    filter_mm: float | None


def _listed(stacks: Sequence[Stack]) -> str:
    return "; ".join(f"“{s.first('SeriesDescription', '')}” UID {s.series.series_uid}" for s in stacks)


def chosen_pet(stacks: Sequence[Stack], request: DetectabilityRequest) -> Stack:
    """The one attenuation-corrected PET, or the one that was named."""
    pets = [s for s in stacks if s.first("Modality") == "PT"]
    if request.which is not None:
        named = (request.which,)
        pets = [s for s in pets if {s.series.series_uid, str(s.first("SeriesNumber", ""))} & set(named)]
    elif len(pets) > 1:
        pets = [s for s in pets if classify(s).role is SeriesRole.PET_AC] or pets
    if not pets:
        raise UsageError(
            f"{request.series.name} holds no PET that was asked for; give a PET series or its study folder."
        )
    if len(pets) > 1:
        raise SeveralVolumesError(f"{request.series.name} holds several PET; name one by --series: {_listed(pets)}")
    return pets[0]


def ct_of(stacks: Sequence[Stack], pet: Stack) -> Stack | None:
    """The CT of the same study and frame of reference with the most slices; None where there is none."""
    frame = pet.first("FrameOfReferenceUID", "")
    same = [
        s
        for s in stacks
        if s.first("Modality") == "CT"
        and s.series.study_uid == pet.series.study_uid
        and frame
        and s.first("FrameOfReferenceUID", "") == frame
    ]
    whole = [s for s in same if classify(s).role is SeriesRole.CT] or same  # no topogram, no reformation
    return max(whole, key=lambda s: (len(s.instances), s.series.series_uid), default=None)


def _liver(suv: Volume, ct: Stack | None, request: DetectabilityRequest, settings: Settings) -> tuple[Mask, str]:
    """The liver that was given, else the one on the CT beside the PET; without both it is refused."""
    if request.liver is not None:
        return load_mask(request.liver, suv.grid), "given mask"
    if ct is None:
        raise Refusal(
            "no_liver_for_pet",
            "PET alone does not show where the liver ends, and no CT of its study lies beside it; give --liver MASK "
            "(NIfTI, DICOM SEG or RTSTRUCT) or the folder that holds the PET and its CT",
        )
    found = find_liver(read_stack(ct), "ct", ct.series.series_uid, settings.liver, settings.backend, suv)
    if found.verdict != "usable" or found.mask is None:
        raise Refusal(
            "no_liver_on_ct", f"no usable liver was found on the CT ({'; '.join(found.reasons)}); give --liver MASK"
        )
    return resample_mask(found.mask, suv.grid), "its CT"


def _read(request: DetectabilityRequest, settings: Settings) -> _Pet:
    if is_nifti(request.series):
        image = load_image(request.series)
        suv = Volume(image.values, image.grid, Unit.SUVBW)  # a NIfTI knows no unit: `liverpair convert` writes SUV
        return _Pet(suv, *_liver(suv, None, request, settings), None)
    if not request.series.exists():
        raise UsageError(f"{request.series} does not exist; give a folder, a file or an archive.")
    stacks = find_stacks(request.series)
    pet = chosen_pet(stacks, request)
    suv, _ = read_suv(pet, settings.suv)
    kernels = [str(kernel) for kernel in pet.series.values("ConvolutionKernel")]
    return _Pet(suv, *_liver(suv, ct_of(stacks, pet), request, settings), filter_fwhm_mm(kernels))


def _cropped(pet: _Pet) -> _Pet:
    if pet.liver.is_empty:
        raise Refusal("no_liver_in_pet", "the liver mask does not overlap the PET; check that both share one frame")
    start, stop = pet.liver.bounds(MARGIN_MM)
    window = tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
    suv = pet.suv.cropped(start, stop)
    return replace(pet, suv=suv, liver=Mask(np.ascontiguousarray(pet.liver.values[window]), suv.grid))


def _centres(detection: Detection) -> NDArray[np.float64]:
    return np.array([c.centre_lps for c in detection.candidates], dtype=np.float64).reshape(-1, 3)


def _parenchyma(pet: _Pet, reference: ReferenceRegion, settings: Settings) -> Mask:
    """Liver that takes up what liver does: no lesion is put into the gallbladder, a cyst or leakage of the mask."""
    warm = pet.suv.values > settings.pet.cold_fraction * reference.mean - 2 * reference.sd
    return Mask(pet.liver.values & warm, pet.liver.grid)


def _noise_power(own: Detection) -> float:
    """How noise grows with uptake in this PET, from its skewness: as the square root where it has none (Poisson's),
    in proportion where it is log-normal's, whose skewness is the relative standard deviation.
    """
    skew, cov = float(own.facts["search_skew"][0]), float(own.facts["search_cov"][0])
    return 0.5 + 0.5 * min(max(skew / cov, 0.0), 1.0)


def detectability(request: DetectabilityRequest, settings: Settings) -> Answer:
    """Insert, search, count; writes detectability.csv, .json, .png and .svg into the output folder."""
    pet = _cropped(_read(request, settings))
    reference = liver_reference(pet.suv, pet.liver, settings.reference)
    own = detect_pet(pet.suv, pet.liver, reference, settings.pet)
    facts = describe_scanner(pet.suv, reference, own, pet.filter_mm, settings.scanner)
    facts |= {"breathing_mm": request.breathing_mm}
    scanner = scanner_from(facts)
    assert scanner is not None  # there are facts
    power = _noise_power(own)
    with bar("inserting lesions") as tick:
        trials = try_insertions(
            pet.suv,
            _parenchyma(pet, reference, settings),
            reference.mean,
            lambda image: _centres(detect_pet(image, pet.liver, reference, settings.pet)),
            InsertSettings(scanner.fwhm_mm, request.breathing_mm, power),
            request.trials,
            Mask(own.labels.values > 0, pet.suv.grid),
            tick,
        )
    rows = sensitivity_rows(trials, scanner, request.trials.level)
    sizes = half_sizes(trials, scanner, request.trials.level)
    for size in sizes:
        least = minimal_diameter(size["ratio"], scanner)
        size |= {"minimal_diameter_mm": least.mm, "minimal_diameter_reason": least.reason}
    value = {
        "version": version(),
        "scanner": facts,
        "reference": plain(reference),
        "liver": {"source": pet.liver_source, "volume_ml": pet.liver.volume_ml, "own_foci": len(own.candidates)},
        "trials": {**plain(request.trials), "noise_power": power},
        "sizes": sizes,
        "rows": rows,
    }
    return _written(request.output, value, scanner)


def _written(output: Path, value: dict[str, Any], scanner: Scanner) -> Answer:
    output.mkdir(parents=True, exist_ok=True)
    write_text(output / "detectability.csv", format_table(COLUMNS, value["rows"]))
    write_text(output / "detectability.json", canonical_json(value, indent=1) + "\n")
    breathing = f"breathing {scanner.breathing_mm:g} mm" if scanner.breathing_mm else "no breathing"
    said = (
        f"resolution {scanner.fwhm_mm:.1f} mm ({scanner.fwhm_source}), liver noise {100 * scanner.cov:.0f} %, "
        f"threshold {scanner.threshold:.1f} SD, {breathing}"
    )
    draw_sensitivity(
        value["rows"],
        lambda ratio, diameter: p_detect(detection_margin(ratio, diameter, scanner), 0.0),
        "What this PET can show, by size and uptake",
        said,
        [output / "detectability.png", output / "detectability.svg"],
    )
    lines = [f"{output / 'detectability.png'}: {said}.", *(_sentence(size) for size in value["sizes"])]
    return Answer(value, "\n".join(lines))


def _mm(value: float | None, interval: Sequence[float] | None = None) -> str:
    if value is None:
        return "–"
    return f"{value:.1f} mm" + (f" ({interval[0]:.1f}–{interval[1]:.1f})" if interval else "")


def _sentence(size: dict[str, Any]) -> str:
    said = (
        f"T = {size['ratio']:g}: half are seen at {_mm(size['d50_mm'], size['d50_ci_mm'])}, nine in ten at "
        f"{_mm(size['d90_mm'], size['d90_ci_mm'])}; closed form {_mm(size['model_d50_mm'])} and "
        f"{_mm(size['model_d90_mm'])}"
    )
    return said + (f" ({size['note']})" if size["note"] else "")
