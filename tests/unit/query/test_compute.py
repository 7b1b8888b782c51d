"""Columns that a question computes: shown, filtered and sorted by, the same on both databases."""

from dataclasses import replace
from typing import Any

import pytest

from app.base.errors import AppError, BadOption, BadSyntax, TooComplex, TypeMismatch, UnknownField
from app.base.facts import Fact, PlanMade
from app.base.observe import listening
from app.catalog.fields import Type
from app.query.plan import Plan, make_plan
from app.query.request import Aggregate, Expand, Request
from app.store.engine import Store
from tests.builders import a_caller, a_small_world, ask, rows_of, some_settings

COLUMNS = {
    "score mul 2": 17.0,
    "attempts add 1": 1,
    "attempts add 1 sub 9223372036854775807 sub 9223372036854775807": None,
    "status": "completed",
    "status eq 'completed'": True,
    "'it''s'": "it's",
    "5": 5,
    "2.5": 2.5,
    "true": True,
    "2024-02-29": "2024-02-29",
    "2024-02-29T10:00Z": "2024-02-29T10:00:00.000000Z",
    "duration'-P1DT0.5S'": "-PT86400.500000S",
    "10:30": "10:30:00.000000",
    "completed_at": "2025-05-24T12:00:00.000000Z",
    "completed_at sub assigned_at": "PT864000S",
    "assigned_at sub completed_at": "-PT864000S",
    "completed_at add duration'PT36H'": "2025-05-26T00:00:00.000000Z",
    "time(completed_at)": "12:00:00.000000",
    "date(completed_at) sub duration'P1D'": "2025-05-23",
    "totalseconds(completed_at sub assigned_at) div 86400": 10.0,
    "case(score gt 8:'high',score gt 4:'mid')": "high",
    "case(false:1)": None,
    "case(attempts gt 50:10,true:20)": 20,
    "case(time(completed_at) eq 12:00:10,true:20)": 10,
    "case(time(completed_at) eq 12:00:00:10,true:20)": 10,
    "case(completed_at eq 2025-05-24T12:00:00Z:10,true:20)": 10,
    "case(score gt 8:1,true:0.5)": 1.0,
    "cast(score,Edm.Int32)": 9,
    "cast(attempts,Edm.String)": "0",
    "cast(completed_at,Edm.String)": "2025-05-24T12:00:00.000000Z",
    "cast(mandatory,Edm.String)": "true",
    "cast(300 add attempts,Edm.Byte)": None,
    "isof(score,Edm.Double)": True,
    "isof(score,Edm.String)": True,
    "isof(score,Edm.Boolean)": False,
    "isof(attempts,Edm.Double)": True,
    "isof(attempts,Edm.Decimal)": True,
    "isof(300 add attempts,Edm.Byte)": False,
    "isof(null,Edm.String)": False,
    "isof('12',Edm.Byte)": True,
    "isof('300',Edm.Byte)": False,
    "isof(concat('a','b'),Edm.Int32)": False,
    "isof(status,fullcount.Status)": True,
    "isof(status,fullcount.ModuleType)": False,
    "isof(status,fullcount.Learner)": False,
    "cast(status,fullcount.Status)": "completed",
    "isof(LearnerProgressRow)": True,
    "isof(Edm.String)": False,
    "isof(fullcount.LearnerProgressRow)": True,
    "isof(fullcount.Learner)": False,
    "learner/team/name": "Team 1",
    "learner/progress/$count": 2,
    "maxdatetime() add duration'PT1S'": None,
    "score mul 1e308": None,
    "score div 0": None,
    "round(score sub score add 0.49999999999999994)": 0.0,
    "-(attempts sub 9223372036854775807 sub 1)": None,
    "attempts sub 9223372036854775807 sub 2": None,
    "attempts sub 9223372036854775807 sub 1": -(2**63),
    "tolower('ÄΣ İ')": "äσ i",
    "toupper('äß')": "Äß",
    "trim(concat('\u2003 a','\xa0\t'))": "a",
    "cast(concat('2025-01-31','T08:00'),Edm.DateTimeOffset)": "2025-01-31T08:00:00.000000Z",
    "case(null in (5):1,null in (5,null):2)": 2,
}


def plan_of(compute: str, **said: Any) -> Plan:
    request = Request("LearnerProgress", compute=compute, **said)
    return make_plan(request, a_caller(1), some_settings(limit_compute=3))


def test_every_kind_of_value_can_be_a_column(store: Store) -> None:
    environment_id = a_small_world(store)
    items = list(COLUMNS.items())
    for start in range(0, len(items), 20):
        part = items[start : start + 20]
        compute = ",".join(f"{text} as c{number}" for number, (text, _) in enumerate(part))
        request = Request("LearnerProgress", compute=compute, key={"assignment_id": 1})
        (row,) = rows_of(ask(store, request, environment_id=environment_id))
        assert {text: row[f"c{number}"] for number, (text, _) in enumerate(part)} == dict(part)


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("{} lt 2025-05-14T12:00:00.0000001Z", True),
        ("{} ge 2025-05-14T12:00:00.0000001Z", False),
        ("{} gt 2025-05-14T11:59:59.9999999Z", True),
        ("{} le 2025-05-14T11:59:59.9999999Z", False),
        ("2025-05-14T12:00:00.0000001Z gt {}", True),
        ("{} in (2025-05-14T12:00:00.0000001Z)", False),
        ("{} eq 2025-05-14T12:00:00.0000000Z", True),
        ("not ({} eq 2025-05-14T12:00:00.0000001Z)", True),
        ("due_at ne 2025-05-14T12:00:00.0000001Z", True),
        ("time({}) lt 12:00:00.0000001", True),
        ("time({}) ge 12:00:00.0000001", False),
        ("{} sub {} gt duration'-PT0.0000001S'", True),
        ("{} sub {} lt duration'PT0.0000001S'", True),
        ("{} add duration'PT0.0000001S' eq {}", True),
        ("hour(2025-05-14T11:59:59.9999999Z) eq 11", True),
    ],
)
def test_seconds_may_have_more_than_six_decimals(store: Store, where: str, holds: bool) -> None:
    """All five were assigned at 2025-05-14T12:00:00Z."""
    environment_id = a_small_world(store)
    for shown in ("assigned_at", "case(true:assigned_at)"):
        request = Request("LearnerProgress", where=where.replace("{}", shown))
        assert len(rows_of(ask(store, request, environment_id=environment_id))) == 5 * holds


def test_a_column_can_be_selected_filtered_and_sorted_by(store: Store) -> None:
    environment_id = a_small_world(store)
    request = Request(
        "LearnerProgress",
        compute="score mul 2 as double,assignment_id mod 2 as odd",
        select=("assignment_id", "double"),
        where="odd eq 1 or double lt 1",
        order_text="odd desc,double",
    )
    rows = rows_of(ask(store, request, environment_id=environment_id))
    assert [row["assignment_id"] for row in rows] == [3, 5, 1, 2]
    assert [row["double"] for row in rows] == [None, None, 17.0, 0.2]
    assert set(rows[0]) == {"assignment_id", "double"}


def test_pages_follow_the_order_of_a_column(store: Store) -> None:
    environment_id = a_small_world(store)
    request = Request(
        "LearnerProgress",
        compute="completed_at sub assigned_at as taken,time(started_at) as clock",
        select=("assignment_id",),
        order_text="taken desc,clock",
        page_rows=1,
    )
    seen: list[int] = []
    after: str | None = ""
    while after is not None:
        answer = ask(store, replace(request, after=after), environment_id=environment_id)
        seen += [row["assignment_id"] for row in rows_of(answer)]
        after = answer.next
    assert seen == [1, 3, 4, 5, 2]


def test_rows_behind_a_navigation_can_have_columns_too(store: Store) -> None:
    environment_id = a_small_world(store)
    expand = Expand("progress", select=("twice",), compute="cycle mul 2 as twice", order="twice")
    team = Expand("team", select=("big",), compute="length(name) as big")
    request = Request("Learners", select=("learner_key",), expand=(expand, team), top=1)
    (row,) = rows_of(ask(store, request, environment_id=environment_id))
    assert row["progress"] == [{"twice": 2}, {"twice": 4}]
    assert row["team"] == {"big": 6}


def test_within_an_expansion_it_is_the_row_around(store: Store) -> None:
    """URL Conventions 5.1.1.14.4: the row that the path of the question leads to."""
    environment_id = a_small_world(store)

    def brought(*expands: Expand) -> list[dict[str, Any]]:
        request = Request("Learners", select=("learner_key",), expand=expands)
        return rows_of(ask(store, request, environment_id=environment_id))

    of_first = Expand("progress", ("cycle",), where="$it/learner_key eq 'u1'", count_name="n")
    assert [len(row["progress"]) for row in brought(of_first)] == [2, 0, 0]
    assert [row["n"] for row in brought(of_first)] == [2, 0, 0]
    sums = Expand(
        "progress", ("x",), compute="$it/learner_id mul 10 add cycle as x", order="x desc"
    )
    assert [row["progress"] for row in brought(sums)][:1] == [[{"x": 12}, {"x": 11}]]
    ways = Expand("progress", ("cycle",), where="$it/team/name eq 'Team 1' and $this/cycle eq 2")
    assert [len(row["progress"]) for row in brought(ways)] == [1, 0, 0]
    behind = Expand("learners", ("learner_key",), where="learner_key ne $it/learner_key")
    inner = Expand("team", ("name", "of"), (behind,), compute="$it/learner_key as of")
    (team, *_) = [row["team"] for row in brought(inner)]
    assert team == {"name": "Team 1", "of": "u1", "learners": [{"learner_key": "u2"}]}
    ordered = Expand("progress", ("cycle",), order="length($it/learner_key),cycle desc", top=1)
    assert [row["progress"] for row in brought(ordered)][:1] == [[{"cycle": 2}]]


def test_members_of_a_list_can_be_sorted_by_the_row_around(store: Store) -> None:
    environment_id = a_small_world(store)
    chosen = "tags($orderby=indexof($it/module_key,$this) desc,$this)"
    rows = rows_of(ask(store, Request("Modules", select=(chosen,)), environment_id=environment_id))
    assert all(isinstance(row["tags"], list) for row in rows)
    assert len(rows) == 2


def test_types_are_inferred_and_every_column_shown_without_a_select() -> None:
    plan = plan_of("score gt 1 as good,completed_at sub started_at as taken,status as state")
    kinds = {column.name: column.type for column in plan.columns}
    assert (kinds["good"], kinds["taken"], kinds["state"]) == (Type.BOOL, Type.SPAN, Type.ENUM)
    assert plan.select[-3:] == ("good", "taken", "state")
    filtered = plan_of("status as state", where="state eq 'completed'")
    assert filtered.shape.where is not None


def test_the_streams_a_column_reads_are_touched() -> None:
    plain = plan_of("score as x", select=("assignment_id",)).shape.streams
    assert plan_of("module/name as x", select=("x",)).shape.streams - plain == {"catalog"}
    team = Expand("team", select=("x",), compute="members_count as x")
    assert "people" in plan_of("score as x", expand=(team,)).shape.streams


def test_groups_can_be_made_by_a_column(store: Store) -> None:
    environment_id = a_small_world(store)
    request = Request(
        "LearnerProgress",
        compute="score gt 1 as good",
        group=("good",),
        aggregates=(Aggregate("n", "count"),),
    )
    rows = rows_of(ask(store, request, environment_id=environment_id))
    assert sorted((row["good"], row["n"]) for row in rows) == [(False, 4), (True, 1)]


@pytest.mark.parametrize(
    ("compute", "error", "words"),
    [
        ("score", BadSyntax, "expected an operator or 'as'"),
        ("score as status", BadOption, "'status', which is there"),
        ("score as learner", BadOption, "'learner', which is there"),
        ("score as x,score as x", BadOption, "'x', which is there"),
        ("scor as x", UnknownField, "no field 'scor'"),
        ("score as x,x add 1 as y", UnknownField, "no field 'x'"),
        ("null as x", TypeMismatch, "would always be null"),
        ("1 as a,1 as b,1 as c,1 as d", TooComplex, "the limit compute is 3"),
        ("fullcount.Status'completed' as x", TypeMismatch, "stands beside no field"),
        ("score add 1" + " add 1" * 120 + " as x", TooComplex, "filter_depth"),
    ],
)
def test_what_cannot_be_a_column_is_refused(
    compute: str, error: type[AppError], words: str
) -> None:
    with pytest.raises(error) as caught:
        plan_of(compute)
    assert words in caught.value.detail


def test_a_column_counts_each_time_it_is_named() -> None:
    large = "score add " * 90 + "1 as x"
    assert plan_of(large, where="x gt 1").shape.where is not None
    with pytest.raises(TooComplex, match="filter_nodes"):
        plan_of(large, where=" or ".join(["x gt 1"] * 10))


def test_a_question_known_by_its_text_is_not_parsed_again() -> None:
    heard: list[Fact] = []
    request = Request("LearnerProgress", compute="score mul 3 as thrice", where="thrice gt 41.5")
    settings = some_settings()
    with listening(heard.append):
        shapes = [make_plan(request, a_caller(n), settings).shape for n in (1, 2)]
        other = make_plan(replace(request, where="thrice gt 42.5"), a_caller(1), settings).shape
    assert shapes[0] is shapes[1]
    assert other is not shapes[0]
    facts = [fact for fact in heard if isinstance(fact, PlanMade)]
    assert [fact.is_new for fact in facts] == [True, False, True]
    assert {fact.dataset for fact in facts} == {"LearnerProgress"}
