"""Settings of a study: each stage's own settings composed from one TOML file; an unknown key is an error."""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import tomli_w
from pydantic import TypeAdapter, ValidationError

from liverpair.core.errors import ConfigError
from liverpair.core.provenance import fingerprint, plain
from liverpair.dicom.cohort_settings import CohortSettings
from liverpair.dicom.suv_settings import SuvSettings
from liverpair.evaluate.attribution import AttributionSettings
from liverpair.evaluate.calls import CallSettings
from liverpair.evaluate.concordance import ConcordanceSettings
from liverpair.evaluate.match import MatchSettings
from liverpair.evaluate.report.names import ReportSettings
from liverpair.flow.backend_settings import BackendSettings
from liverpair.flow.scanner import ScannerSettings
from liverpair.register.settings import PetMotionSettings, RegisterSettings
from liverpair.segment.liver_settings import AgreementSettings, LiverSettings
from liverpair.segment.mr_settings import MrDetectionSettings
from liverpair.segment.pet_settings import PetDetectionSettings
from liverpair.segment.reference_settings import ReferenceSettings

__all__ = ["CASE_SECTIONS", "Settings", "case_fingerprint", "dump_settings", "load_settings", "settings_fingerprint"]

#: The sections that decide what is found in a pair; the others only judge what was found.
CASE_SECTIONS = (
    "suv",
    "liver",
    "backend",
    "pet_motion",
    "reference",
    "register",
    "agreement",
    "pet",
    "mr",
    "scanner",
    "match",
    "calls",
)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting of a study; a section of the TOML file for each stage."""

    cohort: CohortSettings = field(default_factory=CohortSettings)
    suv: SuvSettings = field(default_factory=SuvSettings)
    liver: LiverSettings = field(default_factory=LiverSettings)
    backend: BackendSettings = field(default_factory=BackendSettings)
    pet_motion: PetMotionSettings = field(default_factory=PetMotionSettings)
    reference: ReferenceSettings = field(default_factory=ReferenceSettings)
    register: RegisterSettings = field(default_factory=RegisterSettings)
    agreement: AgreementSettings = field(default_factory=AgreementSettings)
    pet: PetDetectionSettings = field(default_factory=PetDetectionSettings)
    mr: MrDetectionSettings = field(default_factory=MrDetectionSettings)
    scanner: ScannerSettings = field(default_factory=ScannerSettings)
    match: MatchSettings = field(default_factory=MatchSettings)
    calls: CallSettings = field(default_factory=CallSettings)
    attribution: AttributionSettings = field(default_factory=AttributionSettings)
    concordance: ConcordanceSettings = field(default_factory=ConcordanceSettings)
    report: ReportSettings = field(default_factory=ReportSettings)


def _build(cls: type[_T], table: Any, where: str) -> _T:
    """A frozen settings value from a TOML table; every key must be a field and every value of its type."""
    if not isinstance(table, dict):
        raise ConfigError(f"[{where}] must be a table of settings, found {type(table).__name__}.")
    hints = get_type_hints(cls)
    unknown = sorted(set(table) - set(hints))
    if unknown:
        known = ", ".join(sorted(hints))
        meant = difflib.get_close_matches(unknown[0], hints, 1)
        hint = f" Did you mean {meant[0]}?" if meant else ""
        raise ConfigError(f"unknown setting {where + '.' if where else ''}{unknown[0]}; known here: {known}.{hint}")
    values: dict[str, Any] = {}
    for key, value in table.items():
        name = f"{where}.{key}" if where else key
        kind = hints[key]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            values[key] = _build(kind, value, name)
            continue
        try:
            values[key] = TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            problem = error.errors()[0]["msg"]
            raise ConfigError(f"setting {name} = {value!r}: {problem}.") from error
    try:
        return cls(**values)
    except ValueError as error:  # a settings class may check its own ranges
        given = ", ".join(f"{key} = {value!r}" for key, value in table.items())
        raise ConfigError(f"[{where or 'settings'}] with {given}: {str(error).rstrip('.')}.") from error


def load_settings(path: Path | None) -> Settings:
    """The defaults, overridden by a TOML file where one is given."""
    if path is None:
        return Settings()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the settings file {path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"the settings file {path.name} is no valid TOML: {error}.") from error
    return _with_absolute_paths(_build(Settings, table, ""), path.resolve().parent)


def _with_absolute_paths(settings: Settings, folder: Path) -> Settings:
    """Files that a settings file names are looked for beside it; the resolved settings hold from any folder."""
    if not settings.cohort.patient_map:
        return settings
    return replace(settings, cohort=replace(settings.cohort, patient_map=str(folder / settings.cohort.patient_map)))


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return value


def dump_settings(settings: Settings) -> str:
    """The resolved settings as TOML; reading it back gives the same settings (an absent key is its default)."""
    return tomli_w.dumps(_without_none(plain(settings)))


def case_fingerprint(settings: Settings) -> str:
    """SHA-256 of the settings that a case depends on."""
    return fingerprint({section: getattr(settings, section) for section in CASE_SECTIONS})


def settings_fingerprint(settings: Settings) -> str:
    """SHA-256 of the resolved settings; stands in every result as config_sha256."""
    return fingerprint(settings)
