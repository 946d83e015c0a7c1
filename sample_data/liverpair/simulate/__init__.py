"""Simulated patients with exact truth: the oracle of the tests and the source of `liverpair demo`."""

from __future__ import annotations

from liverpair.simulate.lesions import LesionRequest
from liverpair.simulate.mr import MrProtocol, MrSequence
from liverpair.simulate.pair import PairSettings, SimulatedPair, TrueLesion, simulate_pair

__all__ = [
    "LesionRequest",
    "MrProtocol",
    "MrSequence",
    "PairSettings",
    "SimulatedPair",
    "TrueLesion",
    "simulate_pair",
]
