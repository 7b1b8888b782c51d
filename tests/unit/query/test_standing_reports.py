"""Sessions' seats and learners' certifications, against numbers reckoned by hand."""

from datetime import datetime, timedelta
from typing import Any

from app.query.reports import run_report
from app.store.engine import Store
from app.store.tables import Award, Certification, Enrolment, Learner, Progress, TrainingSession
from tests.builders import (
    NOON,
    a_caller,
    a_learner,
    a_progress,
    an_environment,
    rows_of,
    some_settings,
    write_rows,
)


def before(**span: float) -> datetime:
    """A moment before the one the reports are for."""
    return NOON - timedelta(**span)


def after(**span: float) -> datetime:
    """A moment behind it."""
    return NOON + timedelta(**span)


def run(store: Store, environment_id: int, name: str, **given: str) -> list[dict[str, Any]]:
    """The rows of a report at noon."""
    told = {"as_of": NOON.isoformat(), **given}
    caller, settings = a_caller(environment_id), some_settings()
    answer = run_report(name, told, principal=caller, store=store, settings=settings)
    return rows_of(answer)


# Seats


def a_session(number: int, **said: Any) -> dict[str, Any]:
    """A session of m1 in May with four seats."""
    row = {
        "session_id": number,
        "module_key": "m1",
        "session_key": f"s{number}",
        "starts_at": before(days=3),
        "capacity": 4,
    }
    return row | said


def a_place(number: int, session_key: str = "s1", **said: Any) -> dict[str, Any]:
    """A seat that a learner has had for a week."""
    row = {
        "enrolment_id": number,
        "module_key": "m1",
        "session_key": session_key,
        "learner_key": f"u{number}",
        "status": "registered",
        "enrolled_at": before(days=7),
    }
    return row | said


def given_up(number: int, session_key: str = "s1", **said: Any) -> dict[str, Any]:
    """A seat that was given up a day ago, unless another moment is said."""
    row = {"status": "unenrolled", "unenrolled_at": before(days=1)}
    return a_place(number, session_key, **(row | said))


def fill_sessions(store: Store) -> int:
    """Two sessions with seats, one without a stated capacity, one cancelled, one in June."""
    environment_id = an_environment(store)
    sessions = [
        a_session(1),
        a_session(2, capacity=2),
        a_session(3, capacity=None),
        a_session(4, status="cancelled"),
        a_session(5, starts_at=after(days=20), module_key="m2"),
    ]
    waited = before(days=6)
    places = [
        a_place(1),
        a_place(2, waitlisted_at=waited),
        a_place(3, outcome="no_show", marked_at=before(days=2)),
        a_place(4, outcome="no_show", marked_at=after(hours=1)),
        a_place(5, status="waitlisted", waitlisted_at=waited),
        given_up(6),
        given_up(7, waitlisted_at=waited),
        a_place(8, "s2"),
        a_place(9, "s2"),
        a_place(10, "s2"),
        a_place(11, "s3"),
        a_place(12, "s4"),
        a_place(13, "s1", enrolled_at=after(hours=1)),
        given_up(14, "s5", unenrolled_at=after(hours=1), module_key="m2"),
    ]
    write_rows(store, TrainingSession, sessions, environment_id=environment_id)
    write_rows(store, Enrolment, places, environment_id=environment_id)
    return environment_id


def test_seats_are_filled_waited_for_and_lost(store: Store) -> None:
    rows = run(store, fill_sessions(store), "ilt_capacity")
    by_session = {row["session_key"]: row for row in rows}

    first = by_session["s1"]
    assert (first["seats"], first["seats_filled"], first["fill_rate"]) == (4, 4, 1)
    assert (first["waiting"], first["waited"], first["converted"]) == (1, 3, 1)
    assert first["conversion_rate"] == 1 / 3
    assert first["given_up"] == 2
    assert (first["seats_lost"], first["seats_lost_rate"]) == (1, 0.25)
    assert by_session["s2"]["fill_rate"] == 1.5
    assert by_session["s2"]["conversion_rate"] is None
    assert (by_session["s3"]["sessions"], by_session["s3"]["fill_rate"]) == (1, None)
    cancelled = by_session["s4"]
    assert (cancelled["sessions"], cancelled["cancelled"], cancelled["seats"]) == (0, 1, None)


def test_a_seat_given_up_later_was_still_taken_in_its_month(store: Store) -> None:
    rows = run(store, fill_sessions(store), "ilt_capacity", by="starts_month")

    assert [row["starts_month"] for row in rows] == ["2025-05-01", "2025-06-01"]
    may, june = rows
    assert (may["sessions"], may["cancelled"], may["seats"], may["seats_filled"]) == (3, 1, 6, 7)
    assert (june["seats_filled"], june["fill_rate"], june["given_up"]) == (1, 0.25, 0)


# Certifications


def an_award(number: int, learner: int, **said: Any) -> dict[str, Any]:
    """An award of c1, issued a year before and never expiring."""
    row = {
        "award_id": number,
        "certification_key": "c1",
        "learner_key": f"u{learner}",
        "module_type": "course",
        "issued_at": before(days=365),
    }
    return row | said


def some_awards() -> list[dict[str, Any]]:
    """Awards of nine learners, told one by one."""
    expired = before(days=10)
    return [
        # Valid for ever.
        an_award(1, 1),
        # Renewed in time: one renewal due and on time; the new one expires in 20 days.
        an_award(2, 2, expires_at=expired),
        an_award(3, 2, cycle=2, issued_at=before(days=20), expires_at=after(days=20)),
        # Renewed too late, and valid again.
        an_award(4, 3, expires_at=expired),
        an_award(5, 3, cycle=2, issued_at=before(days=5), expires_at=after(days=300)),
        # Lapsed.
        an_award(6, 4, expires_at=expired),
        # Revoked before it expired: no renewal was due.
        an_award(7, 5, revoked_at=before(days=30), expires_at=expired),
        # The renewal was revoked, the first one still holds.
        an_award(8, 6, expires_at=after(days=31)),
        an_award(9, 6, cycle=2, issued_at=before(days=9), revoked_at=before(days=1)),
        # Issued only after the moment asked for.
        an_award(10, 7, issued_at=after(hours=1)),
        # Inactive.
        an_award(11, 9),
        # By valid_days: 50 of 100 days are left.
        an_award(12, 1, certification_key="c2", issued_at=before(days=50)),
    ]


def fill_certifications(store: Store) -> int:
    """One certification by series s1, of ten learners whose standings all differ."""
    environment_id = an_environment(store)
    people = [a_learner(n, status="inactive" if n == 9 else "active") for n in range(1, 11)]
    first: dict[str, Any] = {"certification_id": 1, "certification_key": "c1", "name": "First aid"}
    second = {"certification_id": 2, "certification_key": "c2", "name": "Forklift"}
    duty = {"series_key": "s1", "module_key": "m1"}
    assignments = [
        *(a_progress(n, **duty) for n in (1, 4, 7, 8, 9)),
        a_progress(10, mandatory=False, **duty),
        a_progress(11, learner_key="u10", waived_at=before(days=1), cycle=3, **duty),
        a_progress(12, learner_key="u10", ended_at=before(days=1), cycle=2, **duty),
        a_progress(13, learner_key="u1", series_key="s1", module_key="m2"),
    ]
    for model, rows in (
        (Learner, people),
        (Certification, [first | {"series_key": "s1"}, second | {"valid_days": 100}]),
        (Award, some_awards()),
        (Progress, assignments),
    ):
        write_rows(store, model, rows, environment_id=environment_id)
    return environment_id


def test_a_certification_stands_by_the_award_that_holds_longest(store: Store) -> None:
    environment_id = fill_certifications(store)

    first, second = run(store, environment_id, "certification_status")
    assert first["certification_name"] == "First aid"
    # u1, u2, u3 and u6 are valid; u4 lapsed; u5 revoked.
    assert (first["awarded"], first["valid"]) == (6, 4)
    assert (first["lapsed"], first["revoked"]) == (1, 1)
    # u2 in 20 days; u6 in 31.
    assert first["expiring"] == 1
    # u1, u4, u7 and u8 need it; of these u1 holds it.
    assert (first["required"], first["required_valid"], first["coverage"]) == (4, 1, 0.25)
    # u2 in time, u3 too late, u4 not at all.
    assert (first["renewals_due"], first["renewals_on_time"]) == (3, 1)
    assert first["renewed_on_time_rate"] == 1 / 3
    assert (second["valid"], second["expiring"], second["required"]) == (1, 0, 0)
    assert second["coverage"] is None

    (wider, _) = run(store, environment_id, "certification_status", expires_within="31")
    assert wider["expiring"] == 2
    (whole, _) = run(store, environment_id, "certification_status", inactive="yes")
    assert (whole["valid"], whole["required"], whole["required_valid"]) == (5, 5, 2)


def test_a_certification_stands_as_it_stood_then(store: Store) -> None:
    environment_id = fill_certifications(store)

    rows = run(
        store,
        environment_id,
        "certification_status",
        as_of=before(days=15).isoformat(),
        certification="c1",
        by="certification_key",
    )
    # u4 had not lapsed yet, u3 not yet been late; no renewal was due.
    assert [(row["valid"], row["lapsed"], row["revoked"]) for row in rows] == [(5, 0, 1)]
    assert (rows[0]["renewals_due"], rows[0]["renewed_on_time_rate"]) == (0, None)


def test_standings_are_told_by_month_of_expiry_and_by_need(store: Store) -> None:
    environment_id = fill_certifications(store)

    months = run(
        store, environment_id, "certification_status", by="expires_month", certification="c1"
    )
    assert [(row["expires_month"], row["valid"], row["lapsed"]) for row in months] == [
        (None, 1, 0),
        ("2025-05-01", 0, 1),
        ("2025-06-01", 2, 0),
        ("2026-03-01", 1, 0),
    ]
    needs = run(store, environment_id, "certification_status", by="is_required")
    assert [(row["is_required"], row["awarded"], row["required"]) for row in needs] == [
        (False, 5, 0),
        (True, 2, 4),
    ]
