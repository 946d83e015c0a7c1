"""The pair stage and what it leaves for the process stage: pairs, references to their stacks, refusals when stale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from liverpair.core.errors import UsageError
from liverpair.dicom.catalogue import Catalogue
from liverpair.dicom.cohort import CohortSettings, build_cohort, patient_rule
from liverpair.dicom.pair_stacks import load_stacks
from liverpair.dicom.records import SeriesRecord
from liverpair.flow import stages
from liverpair.flow.config import Settings, load_settings
from liverpair.flow.engine import run_many
from liverpair.flow.pair_files import read_pair_stacks, read_pairs, write_pair_stacks
from liverpair.flow.stages import pair_row, pair_stage, process_stage
from liverpair.flow.workspace import Workspace

from tests.dicom_phantom import make_slice, write
from tests.vendor_headers import ct, pet, t1, t2


def records(number: int) -> list[SeriesRecord]:
    """A patient with a pair."""
    own = {"patient": f"P{number}", "StudyDate": "20240310"}
    return [
        pet(f"A{number}.pet", f"A{number}", slices=40, **own),
        ct(f"A{number}.ct", f"A{number}", slices=40, **own),
        t1(f"B{number}.hbp", "092200", "t1_vibe_fs_tra_20min", f"B{number}", **own),
        t2(f"B{number}.t2", study=f"B{number}", **own),
    ]


class FakeCatalogue:
    """A catalogue of made-up records."""

    series = tuple(records(number) for number in range(3))

    @classmethod
    def open(cls, path: Path) -> FakeCatalogue:
        return cls()

    def __enter__(self) -> FakeCatalogue:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def is_complete(self) -> bool:
        return True

    def groups(self, identity):
        assert identity(" P0 ") == "P0"
        yield from self.series

    def exclusions(self):
        return []


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setattr(stages, "Catalogue", FakeCatalogue)
    made = Workspace.create(tmp_path / "ws")
    made.catalogue.write_bytes(b"")
    return made


def test_the_stage_tells_its_progress_and_its_numbers(workspace: Workspace) -> None:
    seen: list[tuple[int, int | None]] = []
    result = pair_stage(workspace, Settings(), lambda done, total: seen.append((done, total)))
    assert seen == [(1, None), (2, None), (3, None)]
    assert result.numbers["pairs"] == 3
    assert result.numbers["examinations"] == {
        "hybrid": 0, "mr": 3, "mr_paired": 3, "pet": 3, "pet_paired": 3, "studies": 6,
    }  # fmt: skip
    assert result.numbers["excluded_studies"] == {}


def test_pairs_and_their_stacks_are_read_as_they_were_chosen(workspace: Workspace) -> None:
    pair_stage(workspace, Settings())
    pairs, stacks = read_pairs(workspace), read_pair_stacks(workspace, CohortSettings())
    everything = [record for group in FakeCatalogue.series for record in group]
    cohort = build_cohort(everything)
    assert list(pairs.values()) == list(cohort.pairs)
    assert stacks == cohort.stacks
    by_uid = {(r.series_uid, r.study_uid, r.patient_id): r for r in everything}
    for pair_id, references in stacks.items():
        loaded = load_stacks(references, lambda *names: by_uid[names])
        assert loaded["pet-ac"].series.series_uid == pairs[pair_id].pet_series_uid
        assert set(loaded) == {"pet-ac", "ct", "mr-hbp", "mr-t2"}


def test_pairs_made_with_other_settings_are_refused(workspace: Workspace) -> None:
    pair_stage(workspace, Settings())
    with pytest.raises(UsageError, match="other settings"):
        process_stage(workspace, Settings(cohort=CohortSettings(window_days=30)), 1, lambda done, total: None)


def test_pairs_and_stacks_that_do_not_belong_together_are_refused(workspace: Workspace) -> None:
    pair_stage(workspace, Settings())
    one = build_cohort(records(7))
    workspace.write_table("pairs", [pair_row(pair) for pair in one.pairs])
    with pytest.raises(UsageError, match="belong together"):
        process_stage(workspace, Settings(), 1, lambda done, total: None)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"cohort_settings_sha256": "", "pairs": {"P": {"ct": {"x": 1}}}}'])
def test_a_damaged_list_of_stacks_is_refused(workspace: Workspace, text: str) -> None:
    path = workspace.tables / "pair_stacks.json"
    with pytest.raises(UsageError, match="missing"):
        read_pair_stacks(workspace, CohortSettings())
    path.write_text(text)
    with pytest.raises(UsageError, match="run `liverpair pair WS` again"):
        read_pair_stacks(workspace, CohortSettings())


def test_the_file_holds_references_and_no_headers(workspace: Workspace) -> None:
    cohort = build_cohort(records(1))
    write_pair_stacks(workspace, cohort.stacks, CohortSettings())
    found = json.loads((workspace.tables / "pair_stacks.json").read_text())
    (roles,) = found["pairs"].values()
    assert all(set(role) == {"patient_id", "study_uid", "series_uid", "digest"} for role in roles.values())


def test_a_patient_map_is_looked_for_beside_its_settings_file(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('[cohort]\npatient_map = "map.csv"\n')
    assert load_settings(tmp_path / "study.toml").cohort.patient_map == str(tmp_path / "map.csv")
    (tmp_path / "study.toml").write_text('[cohort]\npatient_map = "/elsewhere/map.csv"\n')
    assert load_settings(tmp_path / "study.toml").cohort.patient_map == "/elsewhere/map.csv"


def test_the_catalogue_gives_mapped_and_padded_ids_as_one_group_and_placeholders_apart(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2), dtype=np.int16)
    for number, patient in enumerate(["OLD", " OLD", "NEW", "ANONYMOUS", "ANONYMOUS", "OTHER"]):
        own = dict.fromkeys(("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"), f"1.2.3.{number}")
        write(make_slice(pixels, (0, 0, 0), PatientID=patient, **own), tmp_path / "archive" / f"{number}.dcm")
    table = tmp_path / "map.csv"
    table.write_text("old_id,new_id\nOLD,NEW\n")
    with Catalogue.open(tmp_path / "index.sqlite") as catalogue:
        catalogue.update([tmp_path / "archive"])
        rule = patient_rule(CohortSettings(patient_map=str(table)))
        groups = [sorted(record.patient_id.strip() for record in group) for group in catalogue.groups(rule.person)]
    assert sorted(groups) == [["ANONYMOUS"], ["ANONYMOUS"], ["NEW", "OLD", "OLD"], ["OTHER"]]


# --- tasks that are made ready shortly before they run ---


def _double(number: int) -> int:
    return 2 * number


def test_tasks_are_made_ready_a_few_ahead_and_one_that_cannot_be_fails_alone() -> None:
    made: list[int] = []

    def prepare(number: int) -> int:
        made.append(number)
        if number == 3:
            raise ValueError("three")
        return 10 * number

    found = {}
    for task, outcome in run_many(_double, list(range(8)), 1, prepare=prepare):
        found[task] = outcome
        assert len(made) <= len(found) + 2
    assert isinstance(found.pop(3), ValueError)
    assert found == {number: 20 * number for number in range(8) if number != 3}
