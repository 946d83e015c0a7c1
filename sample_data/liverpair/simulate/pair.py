"""Simulate one patient's PET/CT and liver MRI in memory, with the exact truth."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from liverpair.core.volume import Mask, Volume
from liverpair.simulate.anatomy import Anatomy, draw_anatomy
from liverpair.simulate.appearance import lesion_value, tissue_table
from liverpair.simulate.disease import HEALTHY, LiverDisease
from liverpair.simulate.lesions import LesionRequest, PlacedLesion, place_lesions, random_requests
from liverpair.simulate.motion import Motion, draw_motion
from liverpair.simulate.mr import MrProtocol, acquire_mr
from liverpair.simulate.petct import acquire_ct, acquire_pet

__all__ = ["PairSettings", "SimulatedPair", "TrueLesion", "simulate_pair"]

#: Landmarks of the truth: liver points at least this deep, so that they lie inside both livers.
LANDMARK_DEPTH_MM = 4.0
#: The liver's neighbours that may happen to have its intensity.
ALIKE = ("kidney", "spleen", "heart", "stomach_wall", "stomach_content")


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What one simulated pair is like; every None is drawn from the seed.

    Lengths in mm, angles in degrees. ``lesions`` None draws a mixed bag. ``sequences`` are the MR images to make.
    ``anatomy_seed`` gives two pairs the same body (one patient, two dates); ``uptake`` is the
    tracer's physiology, ssr or fdg. ``pet_drift_mm``: how much higher the liver lies in the PET than in its CT; the
    lesions' true PET places stay those in the CT. ``ct_phase``: native, arterial or portal.
    ``disease`` shapes the liver without changing any other random number.
    """

    lesions: tuple[LesionRequest, ...] | None = None
    anatomy_seed: int | None = None
    uptake: str = "ssr"
    sequences: tuple[str, ...] = ("mr-hbp", "mr-t2", "mr-dwi", "mr-adc")
    liver_ml: float | None = None
    liver_suv: float | None = None
    steatosis: float | None = None
    bile: float | None = None
    heterogeneity: float = 0.03
    ct_spacing_mm: tuple[float, float, float] = (2.0, 2.0, 3.0)
    ct_noise_hu: float = 11.0
    ct_phase: str = "native"
    pet_spacing_mm: tuple[float, float, float] = (4.07, 4.07, 3.0)
    pet_fwhm_mm: float = 6.0
    pet_cov: float | None = None
    pet_respiration_mm: float | None = None
    pet_drift_mm: float = 0.0
    field_of_view_mm: tuple[float, float, float] = (356.0, 276.0, 240.0)
    mr_protocol: MrProtocol = field(default_factory=MrProtocol)
    rotation_deg: float | None = None
    shift_mm: float | None = None
    breathing_mm: float | None = None
    local_mm: float | None = None
    disease: LiverDisease = HEALTHY


@dataclass(frozen=True, slots=True, eq=False)
class TrueLesion:
    """One lesion as it really is; centres LPS mm in the two examinations' frames.

    ``diameter_mm`` is the equivalent-sphere diameter, ``long_axis_mm`` twice the largest semi-axis, ``tlr`` the true
    uptake over liver before any blur; an "inflammation" is on PET only. ``semi_axes`` (3, 3): the ellipsoid's semi-axes
    (mm) as columns in the PET/CT's frame.
    """

    lesion_id: str
    nature: str
    diameter_mm: float
    long_axis_mm: float
    tlr: float
    pet_lps: NDArray[np.float64]
    mr_lps: NDArray[np.float64]
    depth_mm: float
    contrast: float
    semi_axes: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedPair:
    """Images and truth of one pair. ``mr_liver`` is on the HBP image's grid (or the first MR image's)."""

    ct: Volume
    pet: Volume
    mr: dict[str, Volume]
    ct_liver: Mask
    mr_liver: Mask
    lesions: tuple[TrueLesion, ...]
    liver_suv: float
    pet_cov: float
    pet_fwhm_mm: float
    pet_respiration_mm: float
    landmarks_pet: NDArray[np.float64]
    landmarks_mr: NDArray[np.float64]
    motion: Motion
    pet_offset: NDArray[np.float64]
    mr_offset: NDArray[np.float64]

    def to_moving(self, points: ArrayLike) -> NDArray[np.float64]:
        """MR points (n, 3) LPS mm of PET/CT points (n, 3) LPS mm: the exact truth (HBP image's position)."""
        start = np.atleast_2d(np.asarray(points, dtype=np.float64))
        return self.motion.forward(start - self.pet_offset) + self.mr_offset

    def to_fixed(self, points: ArrayLike) -> NDArray[np.float64]:
        """PET/CT points (n, 3) LPS mm of MR points (n, 3), inverted to better than 0.001 mm."""
        start = np.atleast_2d(np.asarray(points, dtype=np.float64))
        return self.motion.backward(start - self.mr_offset) + self.pet_offset


def _choice(rng: np.random.Generator, given: float | None, low: float, high: float) -> float:
    drawn = float(rng.uniform(low, high))  # always drawn, so that a given value changes nothing else
    return drawn if given is None else given


def _liver_points(anatomy: Anatomy, depth_mm: float) -> NDArray[np.float64]:
    index = np.argwhere(anatomy.depth > depth_mm)
    return np.column_stack(
        [axis[index[:, n]] for n, axis in enumerate((anatomy.space.x, anatomy.space.y, anatomy.space.z))]
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """What chance or the settings say of a patient's liver and examinations; offsets (3,) take anatomy to LPS mm."""

    liver_suv: float
    steatosis: float
    bile: float
    pet_cov: float
    respiration_mm: float
    pet_offset: NDArray[np.float64]
    mr_offset: NDArray[np.float64]

    @classmethod
    def of(cls, rng: np.random.Generator, settings: PairSettings) -> _Drawn:
        """All is drawn, in this order, also what the settings then replace: a given value changes nothing else."""
        drawn_suv = float(np.clip(np.exp(rng.normal(np.log(5.0), 0.28)), 2.5, 10.0))
        fatty = max(0.0, float(rng.normal(-0.1, 0.25)))
        return cls(
            liver_suv=drawn_suv if settings.liver_suv is None else settings.liver_suv,
            steatosis=min(fatty, 0.8) if settings.steatosis is None else settings.steatosis,
            bile=_choice(rng, settings.bile, 0.0, 1.0),
            pet_cov=_choice(rng, settings.pet_cov, 0.10, 0.14),
            respiration_mm=_choice(rng, settings.pet_respiration_mm, 4.0, 12.0),
            pet_offset=np.array([rng.uniform(-8, 8), rng.uniform(-190, -140), rng.uniform(-900, -500)]),
            mr_offset=np.array([rng.uniform(-25, 25), rng.uniform(-30, 30), rng.uniform(-60, 60)]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Patient:
    """Who is examined: the body with its lesions, and what every examination makes of its tissues."""

    anatomy: Anatomy
    lesions: tuple[PlacedLesion, ...]
    drawn: _Drawn
    settings: PairSettings

    def tissues(self, image: str) -> dict[str, float]:
        """The signal of every tissue on an image ("ct", "ct-portal", "pet", "mr-hbp" ...)."""
        drawn, disease = self.drawn, self.settings.disease
        table = tissue_table(image, drawn.liver_suv, drawn.steatosis, drawn.bile, self.settings.uptake)
        if disease.alike and image != "pet":
            table |= dict.fromkeys(ALIKE, table["liver"])
        return table

    def visible(self, image: str) -> list[tuple[PlacedLesion, float]]:
        """The lesions that an image shows, each with its signal."""
        found = [
            (lesion, lesion_value(image, r.nature, r.tlr, self.drawn.liver_suv, r.contrast))
            for lesion in self.lesions
            for r in (lesion.request,)
        ]
        return [(lesion, value) for lesion, value in found if value is not None]

    def true_lesion(self, number: int, lesion: PlacedLesion, motion: Motion) -> TrueLesion:
        """The truth of one lesion in both examinations' frames."""
        space = self.anatomy.space
        index = tuple(
            int(round((c - axis[0]) / space.step))
            for c, axis in zip(lesion.centre, (space.x, space.y, space.z), strict=True)
        )
        request = lesion.request
        return TrueLesion(
            lesion_id=f"L{number:02d}",
            nature=request.nature,
            diameter_mm=request.diameter_mm,
            long_axis_mm=2 * lesion.reach,
            tlr=request.tlr,
            pet_lps=lesion.centre + self.drawn.pet_offset,
            mr_lps=motion.forward(lesion.centre)[0] + self.drawn.mr_offset,
            depth_mm=float(self.anatomy.depth[index]),
            contrast=request.contrast,
            semi_axes=lesion.turn * lesion.radii,
        )


def simulate_pair(seed: int, settings: PairSettings | None = None) -> SimulatedPair:
    """Simulate a pair; the same seed and settings give the same bytes, whatever the number of threads."""
    with threadpool_limits(1, "blas"):
        return _simulate(seed, settings or PairSettings())


def _motion(rng: np.random.Generator, settings: PairSettings, anatomy: Anatomy) -> Motion:
    """How the liver lies otherwise in the MRI than in the PET/CT."""
    return draw_motion(
        rng,
        _choice(rng, settings.rotation_deg, 2.0, 4.0),
        _choice(rng, settings.shift_mm, 2.0, 10.0),
        _choice(rng, settings.breathing_mm, 6.0, 16.0),
        _choice(rng, settings.local_mm, 3.0, 5.0),
        _liver_points(anatomy, 2.0)[::997],
    )


def _pet_ct(rng: np.random.Generator, patient: _Patient, frame: str) -> tuple[Volume, Mask, Volume]:
    """The CT in HU with its liver's true mask, and the PET in SUVbw."""
    settings, drawn = patient.settings, patient.drawn
    name = "ct" if settings.ct_phase == "native" else f"ct-{settings.ct_phase}"
    ct, liver = acquire_ct(
        rng,
        patient.anatomy,
        patient.tissues(name),
        patient.visible(name),
        drawn.pet_offset,
        frame,
        settings.field_of_view_mm,
        settings.ct_spacing_mm,
        settings.ct_noise_hu,
    )
    pet = acquire_pet(
        rng,
        patient.anatomy,
        patient.tissues("pet"),
        patient.visible("pet"),
        drawn.pet_offset,
        frame,
        settings.field_of_view_mm,
        settings.pet_spacing_mm,
        settings.pet_fwhm_mm,
        drawn.pet_cov,
        drawn.respiration_mm,
        settings.heterogeneity,
        settings.pet_drift_mm,
    )
    return ct, liver, pet


def _mri(rng: np.random.Generator, patient: _Patient, motion: Motion, frame: str) -> tuple[dict[str, Volume], Mask]:
    """The MR images by role, and the liver's true mask on the first one's grid."""
    settings = patient.settings
    return acquire_mr(
        rng,
        patient.anatomy,
        {role: patient.tissues(role) for role in settings.sequences},
        {role: patient.visible(role) for role in settings.sequences},
        motion,
        patient.drawn.mr_offset,
        frame,
        settings.mr_protocol,
        settings.heterogeneity,
    )


def _simulate(seed: int, settings: PairSettings) -> SimulatedPair:
    """Draw the patient, acquire both examinations and state the truth; each step has random numbers of its own."""
    streams = [np.random.Generator(np.random.PCG64(s)) for s in np.random.SeedSequence(seed).spawn(6)]
    choose, body, place, move, tomograph, magnet = streams
    if settings.anatomy_seed is not None:
        body = np.random.Generator(np.random.PCG64(settings.anatomy_seed))
    anatomy = draw_anatomy(body, _choice(body, settings.liver_ml, 1200.0, 1900.0), settings.disease)
    requests = random_requests(place) if settings.lesions is None else settings.lesions
    drawn = _Drawn.of(choose, settings)
    patient = _Patient(anatomy, tuple(place_lesions(place, anatomy, requests)), drawn, settings)
    motion = _motion(move, settings, anatomy)
    ct, ct_liver, pet = _pet_ct(tomograph, patient, f"2.25.{1000 + seed}1")
    mr, mr_liver = _mri(magnet, patient, motion, f"2.25.{1000 + seed}2")
    deep = _liver_points(anatomy, LANDMARK_DEPTH_MM)
    marks = deep[place.integers(0, len(deep), 50)]
    return SimulatedPair(
        ct=ct,
        pet=pet,
        mr=mr,
        ct_liver=ct_liver,
        mr_liver=mr_liver,
        lesions=tuple(patient.true_lesion(n, lesion, motion) for n, lesion in enumerate(patient.lesions, start=1)),
        liver_suv=drawn.liver_suv,
        pet_cov=drawn.pet_cov,
        pet_fwhm_mm=settings.pet_fwhm_mm,
        pet_respiration_mm=drawn.respiration_mm,
        landmarks_pet=marks + drawn.pet_offset,
        landmarks_mr=motion.forward(marks) + drawn.mr_offset,
        motion=motion,
        pet_offset=drawn.pet_offset,
        mr_offset=drawn.mr_offset,
    )
