"""The simulated companies answer every built-in report, and show what each is for."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import orjson
import pytest

from app.access.principal import Principal
from app.base.clock import now as clock_now
from app.base.config import Settings
from app.cli import demo
from app.cli.demo import DemoEnvironment, found_environments, load_history
from app.cli.simulation.company import COMPANIES
from app.processing.drain import drain_all
from app.query.reports import REPORTS, run_report
from app.store.engine import Store

_SCOPES = frozenset({"read", "operate"})


@pytest.fixture
def companies(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> tuple[DemoEnvironment, ...]:
    """Both companies with fewer learners, their history told and applied."""
    small = tuple(replace(company, learner_count=150) for company in COMPANIES)
    monkeypatch.setattr(demo, "COMPANIES", small)
    environments = found_environments(store)
    for _ in load_history(store, settings, environments):
        drain_all(store, settings)
    return environments


def _ask(
    store: Store, settings: Settings, company: DemoEnvironment, name: str, **given: str
) -> list[dict[str, Any]]:
    principal = Principal(company.environment_id, company.company.key, "k", _SCOPES)
    answer = run_report(name, given, principal=principal, store=store, settings=settings)
    rows: list[dict[str, Any]] = orjson.loads(b"[%b]" % answer.rows_json)
    return rows


def test_every_built_in_report_has_rows_in_both_companies(
    store: Store, settings: Settings, companies: tuple[DemoEnvironment, ...]
) -> None:
    empty = [
        (company.company.key, report.name)
        for company in companies
        for report in REPORTS
        if not _ask(store, settings, company, report.name)
    ]
    assert empty == []


def test_the_reports_show_what_waits_and_what_went_wrong(
    store: Store, settings: Settings, companies: tuple[DemoEnvironment, ...]
) -> None:
    def total(name: str, number: str) -> float:
        rows = [row for one in companies for row in _ask(store, settings, one, name)]
        return sum(row[number] or 0 for row in rows)

    for name, number in (
        ("completion_summary", "awaiting_review"),
        ("completion_summary", "waived"),
        ("completion_summary", "failed"),
        ("overdue", "overdue"),
        ("on_time", "late"),
        ("ilt_attendance", "unmarked"),
        ("ilt_attendance", "late_cancellations"),
        ("ilt_attendance", "no_shows"),
        ("checklist_signoff", "pending"),
        ("checklist_signoff", "rejected"),
        ("quick_update_reach", "viewed_24h"),
        ("time_spent", "time_spent_s"),
        ("engagement", "active_30d"),
        ("engagement", "at_risk"),
        ("quest_leaderboard", "points"),
        ("pass_rate", "not_passed"),
    ):
        assert total(name, number) > 0, (name, number)


def test_a_year_ago_less_was_known_and_a_report_still_answers(
    store: Store, settings: Settings, companies: tuple[DemoEnvironment, ...]
) -> None:
    year_ago = (clock_now() - timedelta(days=365)).isoformat()
    for company in companies:
        then = _ask(store, settings, company, "completion_summary", as_of=year_ago)
        now = _ask(store, settings, company, "completion_summary")
        assert 0 < sum(row["completed"] for row in then) < sum(row["completed"] for row in now)
