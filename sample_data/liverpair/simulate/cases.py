"""The cohort's cases: what each pair is about, on which scanners, and what its header hides."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from liverpair.simulate.lesions import LesionRequest

__all__ = ["DEFAULT_CASES", "Case", "random_cases"]

#: MRI within this many days of the PET/CT makes a pair (three months).
WINDOW_DAYS = 92
#: What ten random cases are about: every outcome occurs, positives most often.
OUTCOME_MIX = ("TP", "TP", "TP", "TP", "TN", "TN", "FN-size", "FN-low", "FP", "not_evaluable")


@dataclass(frozen=True, slots=True)
class Case:
    """One PET/CT and one MRI of a patient.

    ``expected`` is TP | FP | FN | TN | not_evaluable | not_paired, ``fn_cause`` size | low_ssr | "".
    ``traps`` name what the headers hide: late_series_time, private_reference, midnight, dose_in_mbq, weight_missing,
    philips_suv_factor, decay_none, multi_phase (dynamic phases in one series), all_phases, enhanced_t2, zipped.
    ``interval_days`` is MRI minus PET.
    """

    name: str
    patient: int
    expected: str
    lesions: tuple[LesionRequest, ...]
    fn_cause: str = ""
    tracer: str = "68Ga-DOTATATE"
    pet_vendor: str = "siemens"
    mr_vendor: str = "siemens"
    pet_day: int = 0
    interval_days: int = 14
    traps: tuple[str, ...] = ()
    language: str = "de"
    with_mr: bool = True
    liver_suv: float | None = None
    steatosis: float | None = None
    anatomy: int | None = None
    reading: str = field(default="")


def _metastases(*items: tuple[float, float, str]) -> tuple[LesionRequest, ...]:
    return tuple(LesionRequest(d, t, "metastasis", place) for d, t, place in items)


def _benign(*items: tuple[float, str]) -> tuple[LesionRequest, ...]:
    uptake = {"cyst": 0.1, "haemangioma": 0.75}
    return tuple(LesionRequest(d, uptake[nature], nature, "anywhere") for d, nature in items)


DEFAULT_CASES: tuple[Case, ...] = (
    Case(
        "tp-several",
        1,
        "TP",
        _metastases(
            (32, 4.5, "deep"),
            (21, 6.5, "anywhere"),
            (15, 5.0, "capsule"),
            (12, 7.0, "dome"),
            (9, 8.0, "vessel"),
            (6, 5.0, "anywhere"),
            (13, 1.0, "deep"),
            (4.5, 3.0, "anywhere"),
        )
        + _benign((14, "cyst")),
        pet_day=0,
        interval_days=12,
        anatomy=1,
        traps=("all_phases",),
    ),
    Case(
        "tn-benign",
        2,
        "TN",
        _benign((22, "cyst"), (9, "cyst"), (17, "haemangioma"), (11, "haemangioma")),
        tracer="18F-SiTATE",
        pet_vendor="ge",
        mr_vendor="ge",
        pet_day=31,
        interval_days=-20,
        language="en",
        traps=("late_series_time", "private_reference"),
        steatosis=0.25,
        anatomy=2,
    ),
    Case(
        "fn-size",
        3,
        "FN",
        _metastases((5.2, 2.2, "deep"), (4.4, 2.4, "anywhere"), (3.8, 2.0, "deep")),
        fn_cause="size",
        tracer="68Ga-DOTATOC",
        pet_vendor="philips",
        mr_vendor="philips",
        pet_day=57,
        interval_days=35,
        anatomy=3,
        traps=("zipped", "enhanced_t2"),
    ),
    Case(
        "fn-not-avid",
        4,
        "FN",
        _metastases((16, 1.0, "deep"), (12, 1.02, "deep")),
        fn_cause="low_ssr",
        pet_day=80,
        interval_days=8,
        anatomy=4,
        traps=("midnight",),
        steatosis=0.0,
    ),
    Case(
        "fp-inflammation",
        5,
        "FP",
        (LesionRequest(15, 3.2, "inflammation", "deep"), *_benign((12, "cyst"))),
        tracer="64Cu-DOTATATE",
        pet_vendor="ge",
        mr_vendor="siemens",
        pet_day=110,
        interval_days=61,
        language="en",
        traps=("dose_in_mbq",),
        anatomy=5,
    ),
    Case(
        "no-weight",
        6,
        "not_evaluable",
        _metastases((18, 5.0, "deep"), (11, 4.0, "anywhere")),
        pet_vendor="siemens",
        mr_vendor="philips",
        pet_day=140,
        interval_days=3,
        traps=("weight_missing",),
        anatomy=6,
    ),
    Case(
        "tp-second-pair",
        1,
        "TP",
        _metastases((38, 4.0, "deep"), (24, 6.0, "anywhere"), (17, 5.0, "capsule"), (10, 6.0, "dome")),
        tracer="68Ga-DOTATOC",
        pet_vendor="philips",
        mr_vendor="siemens",
        pet_day=420,
        interval_days=-6,
        anatomy=1,
        traps=("decay_none", "multi_phase"),
        language="en",
    ),
    Case(
        "out-of-window",
        7,
        "not_paired",
        _metastases((20, 5.0, "deep")),
        pet_vendor="ge",
        mr_vendor="ge",
        pet_day=160,
        interval_days=205,
        anatomy=7,
    ),
    Case(
        "fdg",
        2,
        "not_paired",
        (),
        tracer="18F-FDG",
        pet_vendor="siemens",
        pet_day=14,
        with_mr=False,
        anatomy=2,
        language="en",
    ),
)


def _random_lesions(rng: np.random.Generator, expected: str) -> tuple[LesionRequest, ...]:
    places = ["anywhere", "deep", "capsule", "dome", "vessel"]

    def metastasis(diameter: float, tlr: float) -> LesionRequest:
        return LesionRequest(diameter, tlr, "metastasis", str(rng.choice(places)), float(rng.uniform(0.8, 1.15)))

    benign = [LesionRequest(float(rng.uniform(5, 25)), 0.1, "cyst") for _ in range(rng.integers(0, 3))]
    benign += [LesionRequest(float(rng.uniform(8, 22)), 0.75, "haemangioma") for _ in range(rng.integers(0, 2))]
    if expected == "TP":
        avid = [metastasis(float(rng.uniform(11, 36)), float(rng.uniform(3, 10))) for _ in range(rng.integers(1, 5))]
        rest = [
            metastasis(float(np.clip(np.exp(rng.normal(2.0, 0.5)), 3, 30)), float(rng.uniform(0.9, 8)))
            for _ in range(rng.integers(0, 8))
        ]
        return (*avid, *rest, *benign)
    if expected == "FN-size":
        return (
            *[
                metastasis(float(rng.uniform(3.5, 5.6)), float(rng.uniform(1.6, 2.6)))
                for _ in range(rng.integers(1, 5))
            ],
            *benign,
        )
    if expected == "FN-low":
        return (
            *[
                metastasis(float(rng.uniform(10, 20)), float(rng.uniform(0.97, 1.05)))
                for _ in range(rng.integers(1, 4))
            ],
            *benign,
        )
    if expected == "FP":
        return (
            LesionRequest(float(rng.uniform(12, 20)), float(rng.uniform(2.8, 5)), "inflammation", "deep"),
            *benign,
        )
    return tuple(benign)


def random_cases(n: int, seed: int) -> tuple[Case, ...]:
    """``n`` pairs drawn at random from everything the simulator can do; one patient in five has two pairs."""
    rng = np.random.Generator(np.random.PCG64(seed))
    ssr = ("68Ga-DOTATATE", "68Ga-DOTATATE", "68Ga-DOTATOC", "64Cu-DOTATATE", "18F-SiTATE")
    traps = {
        "siemens": ("midnight", "dose_in_mbq", "zipped", "all_phases"),
        "ge": ("late_series_time,private_reference", "private_reference", "dose_in_mbq", "multi_phase"),
        "philips": ("decay_none", "philips_suv_factor", "zipped", "multi_phase", "enhanced_t2"),
    }
    cases: list[Case] = []
    kinds: list[str] = []
    patient = 100
    for number in range(n):
        if number % len(OUTCOME_MIX) == 0:
            kinds = [str(kind) for kind in rng.permutation(OUTCOME_MIX)]
        kind = kinds[number % len(OUTCOME_MIX)]
        again = bool(cases) and rng.random() < 0.2
        patient = patient if again else patient + 1
        vendor = str(rng.choice(["siemens", "ge", "philips"]))
        chosen = tuple(str(rng.choice(traps[vendor])).split(",")) if rng.random() < 0.6 else ()
        if kind == "not_evaluable":
            chosen = (*chosen, "weight_missing")
            chosen = tuple(t for t in chosen if t != "philips_suv_factor")
        cases.append(
            Case(
                f"random-{number:03d}",
                patient,
                kind.split("-")[0],
                _random_lesions(rng, "TP" if kind == "not_evaluable" else kind),
                {"FN-size": "size", "FN-low": "low_ssr"}.get(kind, ""),
                str(rng.choice(ssr)),
                vendor,
                str(rng.choice(["siemens", "ge", "philips"])),
                (cases[-1].pet_day + 400 if again else int(rng.integers(0, 900))),
                int(rng.integers(-75, 76)),
                chosen,
                str(rng.choice(["de", "en"])),
                anatomy=patient,
            )
        )
    return tuple(cases)
