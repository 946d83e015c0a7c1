"""Say whose study each study is: Patient ID, its issuer, a map of changed IDs; look-alikes are told, never joined."""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from liverpair.core.errors import ConfigError
from liverpair.dicom.records import SeriesRecord

__all__ = ["Owner", "Patients", "is_placeholder", "look_alikes", "read_patient_map"]

#: What anonymisers and consoles write where no ID is to be told (letters and digits only, lower-case): whoever carries
#: one of these may be anybody.
PLACEHOLDERS = frozenset(
    {"anonymous", "anonymus", "anonym", "anonymized", "anonymised", "anonymisiert", "anonyme", "anonymise",
     "anonimo", "anonimizado", "anonimizzato", "anon", "unknown", "unbekannt", "inconnu", "desconocido",
     "sconosciuto", "none", "null", "na", "nan", "noid", "nopatientid", "removed", "deleted", "redacted",
     "deidentified", "patientid", "patid", "patient", "id"}
)  # fmt: skip
#: A trailing part of letters after a separator ("12345-MR", "12345_b"), at most this long, may be an export's mark.
SUFFIX = re.compile(r"(?<=\d)[\s_\-./]+[A-Za-z]{1,3}$")
#: Series whose Patient ID decides; a screenshot or report under another ID does not take the images' owner away.
IMAGE_MODALITIES = frozenset({"PT", "CT", "MR"})


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose study it is: ``patient`` as the tables name it ("" where ``reason`` says why nobody can be named).

    ``strays`` are the series (by UID) that carry another patient's ID and are set aside.
    """

    patient: str
    reason: str = ""
    detail: str = ""
    strays: frozenset[str] = frozenset()


def _letters(text: str) -> str:
    """Letters and digits of any script, without case."""
    return re.sub(r"[\W_]+", "", text.casefold())


def is_placeholder(patient_id: str) -> bool:
    """Whether a Patient ID stands for "not told": a known word, or one character repeated (0000, XXXX, ----)."""
    letters = _letters(patient_id)
    return letters.strip("0") == "" or letters in PLACEHOLDERS or re.fullmatch(r"x{2,}", letters) is not None


def read_patient_map(path: str | Path) -> dict[str, str]:
    """Old Patient ID → the newest one, from a CSV with the columns old_id,new_id (comma or semicolon, UTF-8).

    Chains are followed. Raises ConfigError: unreadable, columns missing, an empty ID, one old ID with two new ones,
    a circle. The message names lines, never IDs.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cohort.patient_map: {path} cannot be read ({type(error).__name__}).") from error
    lines = text.splitlines()
    reader = csv.DictReader(lines, delimiter=";" if lines and ";" in lines[0] else ",")
    if not {"old_id", "new_id"} <= set(reader.fieldnames or ()):
        raise ConfigError(f"cohort.patient_map: {path} needs the columns old_id,new_id in its first line.")
    found: dict[str, str] = {}
    for row in reader:
        old, new = ((row[key] or "").strip() for key in ("old_id", "new_id"))
        if not old or not new:
            raise ConfigError(f"cohort.patient_map: line {reader.line_num} of {path} has an empty ID.")
        if found.setdefault(old, new) != new:
            raise ConfigError(f"cohort.patient_map: line {reader.line_num} of {path} gives an old ID a second new one.")
    return {old: _newest(old, found, path) for old in found}


def _newest(old: str, found: Mapping[str, str], path: str | Path) -> str:
    seen = {old}
    while old in found and found[old] != old:
        old = found[old]
        if old in seen:
            raise ConfigError(f"cohort.patient_map: {path} leads in a circle from an ID back to itself.")
        seen.add(old)
    return old


def _keys(patient_id: str) -> set[str]:
    """What look-alikes share: letters and digits without case, leading zeros, punctuation; also without a suffix."""
    stems = (patient_id.strip(), SUFFIX.sub("", patient_id.strip()))
    return {key for key in (_letters(stem).lstrip("0") for stem in stems) if key}


def look_alikes(patient_ids: Iterable[str]) -> frozenset[str]:
    """The IDs that have a look-alike among the others: a difference in case, zeros, punctuation or suffix only."""
    families: dict[str, set[str]] = defaultdict(set)
    for patient_id in patient_ids:
        for key in _keys(patient_id):
            families[key].add(patient_id)
    return frozenset(name for family in families.values() if len(family) > 1 for name in family)


@dataclass(frozen=True, slots=True)
class Patients:
    """The rule by which series belong to patients."""

    changed: Mapping[str, str]
    join_issuers: bool

    def person(self, patient_id: str) -> str:
        """The Patient ID without padding, its changes followed; "" for an empty ID and for a placeholder not mapped."""
        own = patient_id.strip()
        if own in self.changed:
            return self.changed[own]
        return "" if is_placeholder(own) else own

    def owners(self, series: Sequence[SeriesRecord]) -> dict[str, Owner]:
        """The owner of every study, by Study Instance UID; ``series`` holds all studies of the patients concerned.

        Issuers (IssuerOfPatientID, whatever their case) are kept apart unless joined by setting; a series without an
        issuer belongs to the only issuer that uses its ID; with two of them it stays apart. An ID missing on some
        series of a study is that of the others: a study is one patient's (PS3.3 A.1.2).
        """
        names = self._names(series)
        studies: dict[str, list[SeriesRecord]] = defaultdict(list)
        for record in series:
            studies[record.study_uid].append(record)
        return {uid: self._owner(records, names) for uid, records in studies.items()}

    def _owner(self, records: Sequence[SeriesRecord], names: Mapping[tuple[str, str], str]) -> Owner:
        named = {r.series_uid: names[self.person(r.patient_id), _issuer(r)] for r in records}
        images = [r for r in records if str(r.first("Modality", "")).upper() in IMAGE_MODALITIES]
        claims = {named[r.series_uid] for r in images} - {""} or set(named.values()) - {""}
        if len(claims) > 1:
            return Owner("", "patient_id_conflict", "series of this study carry different Patient IDs")
        if not claims:
            blank = all(not r.patient_id.strip() for r in records)
            detail = "no Patient ID" if blank else "a placeholder (anonymous, unknown, zeros) stands for the Patient ID"
            detail += ": nothing says whose study this is; cohort.patient_map can name the patient of a placeholder"
            return Owner("", "missing_patient_id", detail)
        patient = claims.pop()
        return Owner(patient, strays=frozenset(uid for uid, name in named.items() if name not in ("", patient)))

    def _names(self, series: Iterable[SeriesRecord]) -> dict[tuple[str, str], str]:
        """The table's name of each (person, issuer): the ID, and "ID@ISSUER" where issuers have to be told apart."""
        keys = {(self.person(record.patient_id), _issuer(record)) for record in series}
        mapped = set(self.changed.values())
        issuers: dict[str, set[str]] = defaultdict(set)
        for person, issuer in keys:
            if issuer:
                issuers[person].add(issuer)
        names = {}
        for person, issuer in keys:
            apart = len(issuers[person]) > 1 and not self.join_issuers and person not in mapped
            names[person, issuer] = f"{person}@{issuer}" if apart and issuer and person else person
        return names


def _issuer(record: SeriesRecord) -> str:
    return str(record.first("IssuerOfPatientID", "") or "").strip().upper()
