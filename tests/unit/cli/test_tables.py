"""Table files: CSV, TSV and Parquet become the same events, resume, and say what is wrong."""

import gzip
import json
from pathlib import Path
from typing import Any

import duckdb
import pytest

from app.access.environments import add_environment
from app.base.config import Settings
from app.base.errors import NotEvents, StoreBusy
from app.cli import ingest
from app.cli.ingest import run_ingest
from app.cli.tables import read_table_events
from app.intake.accept import accept_items
from app.intake.formats.tables import event_of_row
from app.intake.sources import add_source
from app.store.engine import close_store, open_store, transaction
from app.store.migrate import migrate_store

HEADER = "id,source,type,time,recordedtime,sequence,learner,module,module_type,percent,passed,score"
ROWS = (
    "e1,lms,progress.advanced,2026-01-05T10:00:00Z,,7,u1,m1,course,40,,",
    "e2,lms,progress.completed,2026-01-05T11:00:00Z,2026-01-05T11:00:01Z,,u1,m1,course,,TRUE,87.5",
    "e3,lms,progress.advanced,2026-01-05T10:00:00Z,,,u2,m1,course,much,,",
    "e4,lms,progress.started,2026-01-05T10:00:00Z,,,42,m1,course,,,",
)


@pytest.fixture
def environment(settings: Settings) -> str:
    store = open_store(settings.database_url)
    migrate_store(store)
    with transaction(store) as connection:
        number = add_environment(connection, environment_key="here")
        add_source(connection, number, source_key="lms", takes_occurred_at=True)
    close_store(store)
    return "here"


def counts(settings: Settings, capsys: pytest.CaptureFixture[str], *files: Path) -> dict[str, Any]:
    names = [str(file) for file in files]
    assert run_ingest(settings, environment="here", files=names, as_json=True) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def a_csv(place: Path, *rows: str, name: str = "events.csv") -> Path:
    path = place / name
    text = "\n".join([HEADER, *rows]) + "\n"
    if "tsv" in name:
        text = text.replace(",", "\t")
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_a_row_becomes_its_event_with_empty_cells_left_out() -> None:
    cells = zip(HEADER.split(","), ROWS[1].split(","), strict=True)
    assert event_of_row(dict(cells)) == {
        "specversion": "1.0",
        "id": "e2",
        "source": "lms",
        "type": "progress.completed",
        "time": "2026-01-05T11:00:00Z",
        "recordedtime": "2026-01-05T11:00:01Z",
        "data": {
            "learner": "u1",
            "module": "m1",
            "module_type": "course",
            "passed": True,
            "score": 87.5,
        },
    }


@pytest.mark.parametrize(
    ("type_name", "field", "text", "value"),
    [
        ("module.upserted", "tags", "a; b", ["a", "b"]),
        ("module.upserted", "tags", '["a"]', ["a"]),
        ("module.upserted", "estimated_minutes", "5", 5),
        ("module.upserted", "name", "007", "007"),
        ("learner.upserted", "attributes", '{"grade": 3}', {"grade": 3}),
        ("learner.upserted", "learner", "42", "42"),
        ("learner.upserted", "shoe_size", "42", "42"),
        ("learner.upserted", "learner", 42, "42"),
        ("attempt.graded", "attempt", 2.0, 2),
        ("attempt.graded", "score", "1e1", 10.0),
        ("attempt.graded", "attempt", "2.5", "2.5"),
        ("series.upserted", "modules", '[{"module": "m", "position": 1}]',
         [{"module": "m", "position": 1}]),
    ],
)  # fmt: skip
def test_a_cell_is_read_as_its_field_wants(
    type_name: str, field: str, text: Any, value: Any
) -> None:
    assert event_of_row({"type": type_name, field: text})["data"] == {field: value}


@pytest.mark.parametrize("name", ["events.csv", "events.csv.gz", "events.tsv"])
def test_csv_in_each_dress_is_counted_by_fate(
    settings: Settings,
    environment: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    told = counts(settings, capsys, a_csv(tmp_path, *ROWS, name=name))
    assert (told["received"], told["accepted"], told["rejected"]) == (4, 3, 1)


def test_parquet_and_csv_make_the_same_events(
    settings: Settings, environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, packed = a_csv(tmp_path, *ROWS), tmp_path / "events.parquet"
    duckdb.execute(
        f"copy (select * replace (time::timestamptz as time, recordedtime::timestamptz as"
        f" recordedtime, score::double as score, passed::boolean as passed) from"
        f" read_csv('{plain}', all_varchar=true)) to '{packed}' (format parquet)"
    )
    assert counts(settings, capsys, plain)["accepted"] == 3
    told = counts(settings, capsys, packed)
    assert (told["duplicate"], told["conflict"], told["rejected"]) == (3, 0, 1)


def test_a_stopped_table_goes_on_after_its_last_committed_batch(
    settings: Settings,
    environment: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [ROWS[3].replace("e4", f"e{n}") for n in range(2_500)]
    path = a_csv(tmp_path, *rows)
    calls = []

    def stopping(*arguments: Any, **named: Any) -> Any:
        calls.append(named)
        if len(calls) == 2:
            raise StoreBusy("stopped here")
        return accept_items(*arguments, **named)

    monkeypatch.setattr(ingest, "accept_items", stopping)
    with pytest.raises(StoreBusy):
        run_ingest(settings, environment="here", files=[str(path)], as_json=True)
    monkeypatch.undo()
    told = counts(settings, capsys, path)
    assert told["files"][0]["lines_skipped"] == 1_000
    assert (told["accepted"], told["duplicate"]) == (1_500, 0)
    assert counts(settings, capsys, path)["duplicate"] == 2_500


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"id,type\ne1,x\n", "no column 'source'"),
        ("a.csv", b"id,source,type,time\ne\xff,x,y,z\n", "after line"),
        ("a.csv", b'id,source,type,time\n"e1"x,x,y,z\n', "after line"),
        ("a.parquet", b"PAR1 and no more", "no whole Parquet file"),
        ("a.parquet", b"", "no whole Parquet file"),
    ],
)
def test_a_file_that_is_no_table_of_events_is_refused(
    tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with path.open("rb") as file, pytest.raises(NotEvents, match=words):
        list(read_table_events(str(path), file))


def test_a_row_with_too_many_cells_is_rejected_alone(
    settings: Settings, environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = counts(settings, capsys, a_csv(tmp_path, ROWS[0], ROWS[1] + ",more", ROWS[3]))
    assert (told["accepted"], told["rejected"]) == (2, 1)
