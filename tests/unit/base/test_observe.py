"""Observations: logged where a door asked for it, counted always, heard by whoever listens."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import structlog

from app.base.facts import BatchAccepted, DefectOpened, Fact, SweepRepaired
from app.base.metrics import metrics_text
from app.base.observe import configure_logs, listening, observe

FATE = BatchAccepted(
    77,
    batch_id=1,
    accepted_count=80,
    duplicate_count=3,
    conflict_count=0,
    rejected_count=1,
    unknown_field_count=2,
    duration_s=0.02,
)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def test_a_fact_is_heard_while_someone_listens() -> None:
    heard: list[Fact] = []
    with listening(heard.append):
        observe(FATE)
    observe(FATE)
    assert heard == [FATE]


def test_a_fact_is_counted_by_environment() -> None:
    observe(FATE)
    text = metrics_text().decode()
    assert 'fullcount_events_total{environment="77",outcome="accepted"}' in text
    assert 'fullcount_events_total{environment="77",outcome="duplicate"}' in text
    assert 'environment="77",outcome="conflict"' not in text
    assert 'fullcount_unknown_fields_total{environment="77"}' in text


def test_a_fact_is_one_line_of_ascii_json_on_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    observe(SweepRepaired(1, 2))
    assert capfd.readouterr().err == ""
    configure_logs("json")
    observe(SweepRepaired(1, 2))
    observe(FATE)
    (line,) = capfd.readouterr().err.splitlines()
    told = json.loads(line)
    assert (told["event"], told["level"], told["entity_count"]) == ("sweep_repaired", "error", 2)
    assert line.isascii()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_moments_are_told_as_in_every_answer(
    capfd: pytest.CaptureFixture[str], log_format: str
) -> None:
    configure_logs(log_format)
    observe(
        DefectOpened(
            1,
            defect_id=2,
            source_id=3,
            stream="quest",
            kind="short",
            from_at=datetime(2025, 5, 23, 6, tzinfo=UTC),
            missing_count=6,
        )
    )
    assert "2025-05-23T06:00:00.000000Z" in capfd.readouterr().err
