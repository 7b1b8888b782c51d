"""`fullcount import-oulad`: the original tables become the mapped events, once, and go on."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.base.config import Settings
from app.base.errors import NotEvents, StoreBusy, UnknownName
from app.cli import ingest
from app.cli.import_oulad import run_import
from app.cli.oulad import read_presentations
from app.cli.oulad_events import events_of
from app.intake.accept import accept_items
from app.store.engine import close_store, open_store
from app.store.migrate import migrate_store
from bench.oulad import SMALL_ENVIRONMENTS, map_oulad, read_events

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("FULLCOUNT_TEST_DATA", ROOT.parent / "shared" / "data")) / "oulad"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason="the OULAD tables are not at hand")

TABLES = {
    "courses": "code_module,code_presentation,module_presentation_length\nAAA,2013J,100\n",
    "assessments": "code_module,code_presentation,id_assessment,assessment_type,date,weight\n"
    "AAA,2013J,1,TMA,10,50\nAAA,2013J,2,CMA,?,50\nAAA,2013J,3,Exam,,100\n",
    "studentInfo": "code_module,code_presentation,id_student,gender,region,final_result\n"
    "AAA,2013J,7,M,Wales,Pass\nAAA,2013J,8,F,Ireland,Withdrawn\n",
    "studentRegistration": "code_module,code_presentation,id_student,date_registration,"
    "date_unregistration\nAAA,2013J,7,-20,\nAAA,2013J,8,?,5\n",
    "studentAssessment": "id_assessment,id_student,date_submitted,is_banked,score\n"
    "1,7,9,0,80\n2,7,30,0,?\n1,8,3,1,39\n",
    "vle": "id_site,code_module,code_presentation,activity_type,week_from,week_to\n"
    "50,AAA,2013J,resource,?,?\n51,AAA,2013J,forumng,,\n52,AAA,2013J,ouelluminate,1,2\n",
    "studentVle": "code_module,code_presentation,id_student,id_site,date,sum_click\n"
    "AAA,2013J,7,50,4,2\nAAA,2013J,7,50,4,3\nAAA,2013J,7,50,6,1\nAAA,2013J,7,51,4,9\n"
    "AAA,2013J,7,52,8,1\nAAA,2013J,7,52,9,1\n",
}


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A presentation of two learners, in the files of the original."""
    folder = tmp_path / "oulad"
    folder.mkdir()
    for name, text in TABLES.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


@pytest.fixture
def empty(settings: Settings) -> Settings:
    """Settings of a migrated database."""
    store = open_store(settings.database_url)
    migrate_store(store)
    close_store(store)
    return settings


def imported(
    settings: Settings, folder: Path, capsys: pytest.CaptureFixture[str], **more: Any
) -> dict[str, Any]:
    assert run_import(settings, str(folder), as_json=True, **more) == 0
    (row,) = json.loads(capsys.readouterr().out)["items"]
    told: dict[str, Any] = row
    return told


def test_the_original_tables_become_the_events_of_the_mapping(tables: Path) -> None:
    (told,) = read_presentations(tables)
    assert told.name == "oulad-aaa-2013j"
    events = events_of(told)
    short = [(e["type"], e["time"][:10], e["data"].get("module", "")[16:]) for e in events]
    assert short[13:17] == [
        ("part.upserted", "2013-10-01", "coursework"),
        ("part.upserted", "2013-10-01", "coursework"),
        ("session.scheduled", "2013-10-09", "v52"),
        ("session.scheduled", "2013-10-10", "v52"),
    ]
    assert short[30:] == [
        ("assignment.made", "2013-09-11", "course"),
        ("progress.completed", "2013-10-04", "a1"),
        ("attempt.graded", "2013-10-04", "a1"),
        ("progress.advanced", "2013-10-04", "coursework"),
        ("part.done", "2013-10-04", "coursework"),
        ("activity.recorded", "2013-10-05", "course"),
        ("progress.completed", "2013-10-05", "v50"),
        ("activity.recorded", "2013-10-05", "v50"),
        ("assignment.ended", "2013-10-06", "course"),
        ("activity.recorded", "2013-10-07", "v50"),
        ("progress.completed", "2013-10-09", "v52"),
        ("attendance.marked", "2013-10-09", "v52"),
        ("progress.completed", "2013-10-10", "a1"),
        ("attempt.graded", "2013-10-10", "a1"),
        ("progress.advanced", "2013-10-10", "coursework"),
        ("part.done", "2013-10-10", "coursework"),
        ("attendance.marked", "2013-10-10", "v52"),
        ("progress.completed", "2013-10-31", "a2"),
        ("attempt.submitted", "2013-10-31", "a2"),
        ("progress.completed", "2013-10-31", "coursework"),
        ("part.done", "2013-10-31", "coursework"),
        ("progress.completed", "2014-01-09", "course"),
    ]
    said = {(e["type"], e["data"].get("source_ref"), e["time"][:10]): e["data"] for e in events}
    assert said["activity.recorded", "vle:resource:50", "2013-10-05"]["clicks"] == 5
    assert said["attempt.graded", "sa:1", "2013-10-10"]["score"] == 80
    assert said["part.done", "sa:2", "2013-10-31"]["part"] == "a2"
    assert said["attendance.marked", "vle:ouelluminate:52", "2013-10-10"]["session"] == "2013-10-10"
    assert len({e["id"] for e in events}) == len(events)


def test_an_import_makes_its_environment_once_and_its_events_once(
    empty: Settings, tables: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = imported(empty, tables, capsys, wait=True)
    again = imported(empty, tables, capsys)
    assert first["environment"] == "oulad-aaa-2013j"
    assert (first["accepted"], first["rejected"], first["pending"]) == (first["received"], 0, 0)
    assert (again["duplicate"], again["accepted"]) == (first["accepted"], 0)


def test_a_stopped_import_goes_on(
    empty: Settings,
    tables: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls = []

    def stopping(*arguments: Any, **named: Any) -> Any:
        calls.append(named)
        if len(calls) == 3:
            raise StoreBusy("stopped here")
        return accept_items(*arguments, **named)

    monkeypatch.setattr("app.cli.import_oulad.BATCH_LINES", 10)
    monkeypatch.setattr(ingest, "accept_items", stopping)
    with pytest.raises(StoreBusy):
        run_import(empty, str(tables), as_json=True)
    monkeypatch.setattr(ingest, "accept_items", accept_items)
    told = imported(empty, tables, capsys)
    assert (told["lines_skipped"], told["duplicate"]) == (20, 0)


def test_what_is_not_there_is_told(empty: Settings, tables: Path) -> None:
    with pytest.raises(UnknownName, match="oulad-zzz"):
        run_import(empty, str(tables), only=["oulad-zzz"])
    (tables / "vle.csv").unlink()
    with pytest.raises(NotEvents, match="no table vle"):
        run_import(empty, str(tables))


@needs_data
def test_the_source_tables_become_the_very_events_of_the_mapping_in_sql() -> None:
    presentations = {told.name: told for told in read_presentations(DATA)}
    assert len(presentations) == 15
    connection = map_oulad(DATA / "mapped", environments=SMALL_ENVIRONMENTS)
    for name in SMALL_ENVIRONMENTS:
        made = events_of(presentations[name])
        wanted = [json.loads(text) for part in read_events(connection, name) for text in part]
        assert len(made) == len(wanted)
        assert [event["id"] for event in made] == [event["id"] for event in wanted]
        for mine, theirs in zip(made, wanted, strict=True):
            # Places count within the environment here, over all of them there.
            assert ("sequence" in mine) == ("sequence" in theirs)
            assert mine | {"sequence": ""} == theirs | {"sequence": ""}
