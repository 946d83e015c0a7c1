"""Write a whole archive: every case's examinations, reports.csv and truth.json."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from liverpair.simulate import litter, mr_dicom, pet_dicom
from liverpair.simulate.cases import DEFAULT_CASES, Case
from liverpair.simulate.mr import MrProtocol, MrSequence
from liverpair.simulate.mr_enhanced import write_enhanced_mr
from liverpair.simulate.objects import Examination, FileNames
from liverpair.simulate.pair import PairSettings, SimulatedPair, simulate_pair
from liverpair.simulate.reports import Finding, mr_report, pet_report
from liverpair.simulate.truth import ExpectedExclusion, LesionTruth, PairTruth, Truth, lesion_truth, pair_id

__all__ = ["DEMO_SEED", "REPORT_COLUMNS", "write_cohort"]

REPORT_COLUMNS = ("report_id", "text", "modality", "patient_id", "accession_number", "study_date")
#: The seed of the cohort that `liverpair demo` runs on.
DEMO_SEED = 2026
#: The first day of the cohort; every case counts its days from here.
FIRST_DAY = datetime(2019, 3, 4)
#: PET voxels (mm) as each vendor reconstructs them.
PET_SPACING = {"siemens": (4.07283, 4.07283, 3.0), "ge": (3.64583, 3.64583, 3.27), "philips": (4.0, 4.0, 4.0)}
#: The archive's T1: a little coarser than the default to keep it small.
ARCHIVE_T1 = MrSequence((1.3, 1.3, 3.0), 3.0, 1.6, 20.0)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class _Job:
    """One case to write; picklable for the worker processes."""

    out: str
    seed: int
    number: int
    case: Case


@dataclass(frozen=True, slots=True)
class _Done:
    pair: PairTruth
    exclusions: tuple[ExpectedExclusion, ...]
    reports: tuple[tuple[str, ...], ...]


def _settings(case: Case, seed: int) -> PairSettings:
    phases: tuple[str, ...] = ("mr-t1-native",)
    if {"all_phases", "multi_phase"} & set(case.traps):
        phases = ("mr-t1-native", "mr-arterial", "mr-portal")
    sequences = ("mr-hbp", *phases, "mr-t2", "mr-dwi", "mr-adc")
    if not case.with_mr:
        sequences = ("mr-adc",)  # the cheapest image: it is not written
    elif case.expected == "not_paired":
        sequences = ("mr-hbp", "mr-dwi", "mr-adc")
    return PairSettings(
        lesions=case.lesions,
        sequences=sequences,
        pet_spacing_mm=PET_SPACING[case.pet_vendor],
        anatomy_seed=None if case.anatomy is None else seed * 1000 + case.anatomy,
        steatosis=case.steatosis,
        liver_suv=2.3 if case.tracer == "18F-FDG" else case.liver_suv,
        uptake="fdg" if case.tracer == "18F-FDG" else "ssr",
        mr_protocol=MrProtocol(t1=ARCHIVE_T1),
    )


def _examinations(case: Case, seed: int, number: int, weight: float) -> tuple[Examination, Examination]:
    """The PET/CT's and the MRI's shared attributes; names and IDs are obviously synthetic."""
    patient = f"SIM{seed % 10000:04d}-{case.patient:03d}"
    rng = np.random.Generator(np.random.PCG64([seed, 7919, case.patient]))
    sex = str(rng.choice(["M", "F"]))
    birth = f"{rng.integers(1938, 1975)}0{rng.integers(1, 9)}{rng.integers(10, 28)}"
    size = round(float(rng.uniform(1.58, 1.88)), 2)
    name = f"Simulated^Patient{case.patient:03d}"
    pet_start = FIRST_DAY + timedelta(days=case.pet_day, hours=9, minutes=30 + 11 * (number % 4))
    if "midnight" in case.traps:
        pet_start = FIRST_DAY + timedelta(days=case.pet_day, minutes=12)
    mr_start = FIRST_DAY + timedelta(days=case.pet_day + case.interval_days, hours=14, minutes=5)
    pet = Examination(
        f"{seed}/{number}/pet",
        patient,
        name,
        birth,
        sex,
        None if "weight_missing" in case.traps else weight,
        size,
        pet_start,
        f"A{seed % 1000:03d}{number:03d}1",
        "PET/CT Ganzkoerper" if case.language == "de" else "PET/CT whole body",
        pet_dicom.PET_EQUIPMENT[case.pet_vendor],
    )
    mr = Examination(
        f"{seed}/{number}/mr",
        patient,
        name,
        birth,
        sex,
        weight,
        size,
        mr_start,
        f"A{seed % 1000:03d}{number:03d}2",
        "MRT Leber" if case.language == "de" else "MRI liver",
        mr_dicom.MR_EQUIPMENT[case.mr_vendor],
    )
    return pet, mr


def _acquisition(case: Case, exam: Examination, uptake_minutes: float) -> pet_dicom.PetAcquisition:
    traps = set(case.traps)
    return pet_dicom.PetAcquisition(
        vendor=case.pet_vendor,
        tracer=pet_dicom.TRACERS[case.tracer],
        start=exam.start + timedelta(seconds=40),
        injected=(exam.start + timedelta(seconds=40) - timedelta(minutes=uptake_minutes)).replace(microsecond=0),
        decay="NONE" if "decay_none" in traps else "START",
        units="CNTS" if case.pet_vendor == "philips" else "BQML",
        dose_in_mbq="dose_in_mbq" in traps,
        time_only="midnight" in traps or case.pet_vendor == "philips",
        late_series_time="late_series_time" in traps,
        private_reference="private_reference" in traps,
    )


def _write_petct(
    case: Case,
    exam: Examination,
    pair: SimulatedPair,
    weight: float,
    names: FileNames,
    rng: np.random.Generator,
) -> tuple[dict[str, str], list[ExpectedExclusion]]:
    acquisition = _acquisition(case, exam, float(rng.uniform(52, 75)))
    german = case.language == "de"
    factor = "philips_suv_factor" in case.traps
    series = {
        "pet-ac": pet_dicom.write_pet(
            exam,
            acquisition,
            pair.pet,
            weight,
            names,
            "pet",
            4,
            "PET WB AC" if not german else "PET GK korrigiert",
            factor,
        ),
        "ct": pet_dicom.write_ct(exam, pair.ct, exam.start, names, "ct", 2, "CT WB 3.0 B30f"),
    }
    thirds = pair.pet.grid.shape[2] // 3  # a NAC series of part of the body keeps the archive small
    part = pet_dicom.without_attenuation_correction(
        pair.pet.cropped(np.array([0, 0, thirds]), np.array([*pair.pet.grid.shape[:2], 2 * thirds]))
    )
    left_out = [
        (
            pet_dicom.write_pet(exam, acquisition, part, weight, names, "nac", 5, "PET WB NAC", factor, True),
            "not_corrected",
        ),
        (litter.write_ct_localizer(exam, pair.ct, names), "localizer"),
        (litter.write_mip(exam, pair.pet, names), "secondary_capture"),
        (litter.write_dose_report(exam, names), "report"),
    ]
    return series, [ExpectedExclusion("series", identifier, why) for identifier, why in left_out]


def _write_mri(
    case: Case, exam: Examination, pair: SimulatedPair, names: FileNames
) -> tuple[dict[str, str], list[ExpectedExclusion]]:
    vendor, protocol = case.mr_vendor, MrProtocol(t1=ARCHIVE_T1)
    series: dict[str, str] = {}
    phases = [role for role in ("mr-t1-native", "mr-arterial", "mr-portal") if role in pair.mr]
    single: list[str] = [role for role in ("mr-hbp", "mr-t2", "mr-adc") if role in pair.mr]
    if "multi_phase" in case.traps:
        dynamic = mr_dicom.write_dynamic(
            exam, vendor, [(role, pair.mr[role]) for role in phases], protocol.t1.thickness_mm, names, 6
        )
        series |= dict.fromkeys(phases, dynamic)
    else:
        single += phases
    for number, role in enumerate(single):
        enhanced = role == "mr-t2" and "enhanced_t2" in case.traps
        write = write_enhanced_mr if enhanced else mr_dicom.write_mr
        series[role] = write(
            exam, vendor, role, pair.mr[role], protocol.sequence(role).thickness_mm, names, 10 + number
        )
    images = mr_dicom.b_value_images(pair.mr["mr-dwi"], pair.mr["mr-adc"])
    series["mr-dwi"] = mr_dicom.write_diffusion(exam, vendor, images, protocol.dwi.thickness_mm, names, 8)
    localizer = litter.write_mr_localizer(exam, pair.mr["mr-hbp"], names)
    return series, [ExpectedExclusion("series", localizer, "localizer")]


def _finding(rng: np.random.Generator, lesion: LesionTruth, liver_suv: float) -> Finding:
    size = max(2.0, lesion.diameter_mm + float(rng.normal(0, 0.6)))
    return Finding(size, lesion.segment, lesion.nature, 0.8 * lesion.tlr * liver_suv)


def _reports(
    case: Case, truth: PairTruth, pet: Examination, mr: Examination, rng: np.random.Generator
) -> tuple[tuple[str, ...], ...]:
    """Both reports of a case; each names what its reader could see."""

    def findings(lesions: list[LesionTruth]) -> list[Finding]:
        return [_finding(rng, lesion, truth.liver_suv) for lesion in lesions]

    benign = [le for le in truth.lesions if le.nature in ("cyst", "haemangioma")]
    on_mr = [le for le in truth.lesions if le.nature == "metastasis"]
    on_pet = [le for le in truth.lesions if le.nature in ("metastasis", "inflammation") and le.visible_pet == "yes"]
    rows = []
    compared = case.pet_day > 400
    tracer = pet_dicom.TRACERS[case.tracer].text
    text = pet_report(
        rng,
        case.language,
        tracer,
        findings(on_pet),
        findings([b for b in benign if b.diameter_mm > 10]),
        compared,
    )
    rows.append((f"R{pet.accession}", text, "PT", pet.patient_id, pet.accession, pet.start.date().isoformat()))
    if case.with_mr:
        text = mr_report(rng, case.language, findings(on_mr), findings(benign), compared)
        rows.append((f"R{mr.accession}", text, "MR", mr.patient_id, mr.accession, mr.start.date().isoformat()))
    return tuple(rows)


def _pair_truth(
    case: Case, pair: SimulatedPair, pet: Examination, mr: Examination, series: dict[str, str], weight: float
) -> PairTruth:
    mr_uid = mr.study_uid if case.with_mr else ""

    def rounded(points: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(v) for v in np.round(p, 4)) for p in points)

    return PairTruth(
        case.name,
        pair_id(pet.study_uid, mr_uid) if case.with_mr else "",
        pet.patient_id,
        pet.study_uid,
        mr_uid,
        pet.start.date().isoformat(),
        mr.start.date().isoformat() if case.with_mr else "",
        (mr.start.date() - pet.start.date()).days if case.with_mr else 0,
        series,
        case.tracer,
        case.pet_vendor,
        case.mr_vendor,
        case.traps,
        case.expected,
        case.fn_cause,
        pair.liver_suv,
        pair.pet_cov,
        pair.pet_fwhm_mm,
        pair.pet_respiration_mm,
        weight,
        pair.ct_liver.volume_ml,
        tuple(lesion_truth(le, pair) for le in pair.lesions),
        rounded(pair.landmarks_pet),
        rounded(pair.landmarks_mr),
    )


def _write_case(job: _Job) -> _Done:
    """Simulate and write one case (runs in a worker process)."""
    case, seed = job.case, job.seed
    rng = np.random.Generator(np.random.PCG64([seed, 104729, job.number]))
    pair = simulate_pair(seed * 10007 + job.number, _settings(case, seed))
    weight = round(float(np.random.Generator(np.random.PCG64([seed, 31, case.patient])).uniform(54, 98)), 1)
    pet, mr = _examinations(case, seed, job.number, weight)
    root = Path(job.out) / f"{rng.integers(0, 16**8):08X}"
    root.mkdir(parents=True)
    extension = ".dcm" if case.mr_vendor == "philips" else ""
    series, excluded = _write_petct(case, pet, pair, weight, FileNames(root, rng, extension), rng)
    if case.with_mr:
        more, further = _write_mri(case, mr, pair, FileNames(root, rng, extension))
        series, excluded = series | more, excluded + further
    if case.expected == "not_paired":
        excluded.append(ExpectedExclusion("study", pet.study_uid, "other_tracer" if not case.with_mr else "no_partner"))
        if case.with_mr:
            excluded.append(ExpectedExclusion("study", mr.study_uid, "no_partner"))
    truth = _pair_truth(case, pair, pet, mr, series, weight)
    reports = _reports(case, truth, pet, mr, rng)
    if "zipped" in case.traps:
        litter.zip_folder(root, root.with_suffix(".zip"))
    return _Done(truth, tuple(excluded), reports)


def _write_strays(out: Path, seed: int, cases: Sequence[Case], done: Sequence[_Done]) -> list[ExpectedExclusion]:
    """Junk, a truncated object of the first case and a duplicate of one of its objects."""
    excluded = [ExpectedExclusion("file", str(p.relative_to(out)), "not_dicom") for p in litter.write_junk(out)]
    rng = np.random.Generator(np.random.PCG64([seed, 65537]))
    names = FileNames(out / "LOST.DIR", rng)
    pet, _ = _examinations(cases[0], seed, 0, 70.0)
    broken = litter.write_truncated(pet, names, pet.start)
    excluded.append(ExpectedExclusion("file", str(broken.relative_to(out)), "truncated"))
    loose = sorted(p for p in out.rglob("I*") if p.is_file() and p.stat().st_size > 10000 and "LOST.DIR" not in p.parts)
    if loose:
        copy = names.next("copies")
        shutil.copyfile(loose[0], copy)
        excluded.append(ExpectedExclusion("file", str(copy.relative_to(out)), "duplicate"))
    return excluded


def write_cohort(
    out: Path,
    seed: int,
    cases: Sequence[Case] = DEFAULT_CASES,
    progress: Progress | None = None,
    jobs: int = 2,
) -> Truth:
    """Write the archive of ``cases`` into ``out`` (new or empty), with reports.csv and truth.json at its top.

    ``progress(done, total)`` is called after each case. ``jobs`` worker
    processes do not change a byte.
    """
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    work = [_Job(str(out), seed, number, case) for number, case in enumerate(cases)]
    done: list[_Done] = []
    if jobs > 1 and len(work) > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            for item in pool.map(_write_case, work):
                done.append(item)
                if progress:
                    progress(len(done), len(work))
    else:
        for job in work:
            done.append(_write_case(job))
            if progress:
                progress(len(done), len(work))
    strays = _write_strays(out, seed, cases, done)
    with (out / "reports.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(REPORT_COLUMNS)
        writer.writerows(row for item in done for row in item.reports)
    truth = Truth(
        seed,
        tuple(item.pair for item in done),
        tuple(e for item in done for e in item.exclusions) + tuple(strays),
    )
    truth.write(out / "truth.json")
    return truth
