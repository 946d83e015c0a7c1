"""Simulated patients with exact truth: the oracle of the tests and the source of `liverpair demo`."""

from __future__ import annotations

from liverpair.simulate.cases import DEFAULT_CASES, Case, random_cases
from liverpair.simulate.cohort import write_cohort
from liverpair.simulate.lesions import LesionRequest
from liverpair.simulate.mr import MrProtocol, MrSequence
from liverpair.simulate.pair import PairSettings, SimulatedPair, TrueLesion, simulate_pair
from liverpair.simulate.truth import Truth

__all__ = [
    "DEFAULT_CASES",
    "Case",
    "LesionRequest",
    "MrProtocol",
    "MrSequence",
    "PairSettings",
    "SimulatedPair",
    "TrueLesion",
    "Truth",
    "random_cases",
    "simulate_pair",
    "write_cohort",
]
