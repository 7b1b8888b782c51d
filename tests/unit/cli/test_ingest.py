"""`fullcount ingest`: lines in, fates counted, and a stopped run goes on where it stopped."""

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.access.environments import add_environment
from app.base.config import Settings
from app.base.errors import StoreBusy
from app.cli import ingest
from app.cli.ingest import run_ingest
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.store.engine import close_store, open_store, snapshot, transaction
from app.store.migrate import migrate_store
from app.store.tables import Work
from app.store.tables.columns import table_of
from app.store.tables.work import BULK, LIVE


@pytest.fixture
def environment(settings: Settings) -> str:
    """An environment with a source in a database of its own."""
    store = open_store(settings.database_url)
    migrate_store(store)
    with transaction(store) as connection:
        number = add_environment(connection, environment_key="here")
        add_source(connection, number, source_key="lms", takes_occurred_at=True)
    close_store(store)
    return "here"


def _line(number: int) -> str:
    return json.dumps(
        {
            "specversion": "1.0",
            "id": f"e-{number}",
            "source": "lms",
            "type": "progress.started",
            "time": "2026-01-05T10:00:00Z",
            "data": {"learner": f"u{number}", "module": "m1", "module_type": "course"},
        }
    )


def _file(place: Path, lines: list[str]) -> str:
    path = place / "events.ndjson"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def _counts(
    settings: Settings, capsys: pytest.CaptureFixture[str], files: list[str], **more: Any
) -> dict[str, Any]:
    code = run_ingest(settings, environment="here", files=files, as_json=True, **more)
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return {"code": code, **told}


def test_every_line_is_counted_by_its_fate(
    settings: Settings, environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [_line(1), _line(1), "", _line(1).replace("u1", "u2"), '{"id": ', _line(2)]

    told = _counts(settings, capsys, [_file(tmp_path, lines)])

    assert told["code"] == 0
    assert (told["received"], told["accepted"], told["duplicate"]) == (5, 2, 1)
    assert (told["conflict"], told["rejected"], told["pending"]) == (1, 1, 2)


def test_a_finished_file_starts_over_when_it_is_given_again(
    settings: Settings, environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = _file(tmp_path, [_line(number) for number in range(2_500)])
    first = _counts(settings, capsys, [name])

    again = _counts(settings, capsys, [name])

    assert first["accepted"] == again["duplicate"] == 2_500
    assert again["files"][0]["lines_skipped"] == 0


def test_a_stopped_run_goes_on_after_its_last_committed_batch(
    settings: Settings,
    environment: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = _file(tmp_path, ["", *[_line(number) for number in range(2_500)]])
    calls = []

    def stopping(*arguments: Any, **named: Any) -> Any:
        calls.append(named)
        if len(calls) == 2:
            raise StoreBusy("stopped here")
        return accept_items(*arguments, **named)

    monkeypatch.setattr(ingest, "accept_items", stopping)
    with pytest.raises(StoreBusy):
        run_ingest(settings, environment="here", files=[name], as_json=True)
    monkeypatch.undo()

    told = _counts(settings, capsys, [name])

    assert told["files"][0]["lines_skipped"] == 1_000
    assert (told["accepted"], told["duplicate"]) == (1_501, 0)


def test_packed_files_and_standard_input_are_read_alike(
    settings: Settings,
    environment: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = tmp_path / "events.ndjson.gz"
    packed.write_bytes(gzip.compress("\n".join(map(_line, range(30))).encode()))
    piped = io.TextIOWrapper(io.BytesIO("\n".join(map(_line, range(40))).encode()))
    monkeypatch.setattr(sys, "stdin", piped)

    told = _counts(settings, capsys, [str(packed), "-"])

    assert [one["accepted"] for one in told["files"]] == [30, 10]


def test_what_a_file_brings_waits_behind_what_sources_send_meanwhile(
    settings: Settings, environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _counts(settings, capsys, [_file(tmp_path, [_line(1), _line(2)])])
    store, work = open_store(settings.database_url), table_of(Work)
    live = [json.loads(_line(number)) | {"id": f"live-{number}"} for number in (2, 3)]
    accept_items(store, settings, environment_id=1, items=live)
    with snapshot(store) as connection:
        rows = connection.execute(
            select(work.c.lane).where(work.c.environment_id == 1).order_by(work.c.entity_key)
        )
        assert list(rows.scalars()) == [BULK, LIVE, LIVE]
    close_store(store)


def test_waiting_applies_what_was_accepted(
    settings: Settings, environment: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _counts(settings, capsys, [_file(tmp_path, [_line(1), _line(2)])], wait=True)

    assert (told["accepted"], told["pending"]) == (2, 0)


@pytest.mark.parametrize("name", ["missing.csv", "missing.parquet", "missing.ndjson"])
def test_a_file_that_cannot_be_read_is_a_usage_error(
    settings: Settings, environment: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_ingest(settings, environment="here", files=[name]) == 2
    assert name in capsys.readouterr().err
