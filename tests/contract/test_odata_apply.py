"""`$apply` as callers meet it: shapes, context URLs, types, pages, refusals, what is announced."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.base.config import Settings
from app.processing.rollup_rows import recount_rollups
from app.store.engine import Store, transaction
from app.store.tables import Environment
from app.store.tables.columns import table_of
from tests.contract.feed_rows import ROOT, feed_client, fill_feed, progress

ROWS = [progress(number) for number in range(23)]


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    reader = fill_feed(store).reader
    environments = table_of(Environment)
    with transaction(store) as connection:
        asked = select(environments.c.environment_id)
        asked = asked.execution_options(across_environments="both have rows")
        for (environment_id,) in connection.execute(asked).all():
            recount_rollups(connection, environment_id, ["m0", "m1", "m2"])
    with feed_client(store, settings, reader) as opened:
        yield opened


def ask(client: TestClient, apply: str, *more: str, path: str = "LearnerProgress") -> Any:
    """The body of an answer."""
    answer = client.get(f"{path}?{'&'.join([f'$apply={apply}', *more])}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def values(client: TestClient, apply: str, *more: str) -> list[dict[str, Any]]:
    """The rows of an answer."""
    return bare_rows(ask(client, apply, *more))


def bare_rows(body: Any) -> list[dict[str, Any]]:
    """The rows of a body, without the types that are told with them."""
    return [{name: one for name, one in row.items() if "@" not in name} for row in body["value"]]


def test_groups_and_numbers_are_those_of_the_rows(client: TestClient) -> None:
    body = ask(client, "groupby((module_type),aggregate($count as n,score with max as best))")
    assert body["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress(module_type,n,best)"
    for row in body["value"]:
        own = [one for one in ROWS if one["module_type"] == row["module_type"]]
        assert row["n"] == len(own)
        assert row["best"] == max(one["score"] for one in own if one["score"] is not None)


def test_ways_to_one_row_are_grouped_by_and_stand_in_objects(client: TestClient) -> None:
    body = ask(client, "groupby((module/name,status),aggregate($count as n))", "$top=2")
    assert body["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress(module(name),status,n)"
    assert all(set(row) == {"module", "status", "n"} for row in bare_rows(body))
    assert body["value"][0]["module"] == {"name": 'Module "0"'}


def test_later_options_ask_what_comes_of_it(client: TestClient) -> None:
    grouped = "groupby((status),aggregate($count as n))"
    rows = values(client, grouped, "$filter=n ge 5", "$orderby=n desc,status", "$select=n")
    assert rows == [{"n": 5}] * 3
    body = ask(client, grouped, "$count=true", "$top=1")
    assert body["@odata.count"] == 5
    assert client.get(f"LearnerProgress/$count?$apply={grouped}").text == "5"


def test_pages_of_groups_follow_one_another(client: TestClient) -> None:
    address = "LearnerProgress?$apply=groupby((learner_key,status),aggregate($count as n))"
    found: list[dict[str, Any]] = []
    pages = 0
    while address:
        body = client.get(address, headers={"Prefer": "odata.maxpagesize=4"}).json()
        found += body["value"]
        pages += 1
        address = body.get("@odata.nextLink", "")
    groups = {(row["learner_key"], row["status"]) for row in ROWS}
    assert len(found) == len(groups)
    assert {(row["learner_key"], row["status"]) for row in found} == groups
    assert pages == -(-len(groups) // 4)


def test_rolled_up_columns_are_left_out(client: TestClient) -> None:
    rows = values(client, "groupby((rollup(module_type,status)),aggregate($count as n))")
    coarse = [row for row in rows if "status" not in row]
    assert {row["module_type"]: row["n"] for row in coarse} == {
        "checklist": 8,
        "course": 7,
        "quest": 8,
    }
    assert sum(row["n"] for row in rows if "status" in row) == len(ROWS)


def test_rows_that_are_not_alike_have_a_context_of_what_they_share(client: TestClient) -> None:
    both = "concat(aggregate($count as n),groupby((status),aggregate(score with sum as total)))"
    body = ask(client, both)
    assert body["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress(@Core.AnyStructure)"
    assert bare_rows(body)[0] == {"n": 23}
    assert all(set(row) == {"status", "total"} for row in body["value"][1:])
    assert values(client, both, "$select=n") == [{"n": 23}] + [{}] * 5


def test_rows_of_the_set_stay_rows_of_the_set(client: TestClient) -> None:
    body = ask(client, "topcount(2,score)", "$select=assignment_id", "$expand=module($select=name)")
    best = sorted(ROWS, key=lambda row: (-(row["score"] or 0), row["assignment_id"]))[:2]
    assert [row["assignment_id"] for row in body["value"]] == [r["assignment_id"] for r in best]
    assert all(row["module"]["name"].startswith("Module") for row in body["value"])
    assert body["@odata.context"] == (
        f"{ROOT}/$metadata#LearnerProgress(assignment_id,module(name))"
    )
    computed = ask(client, "compute(score mul 2 as twice)", "$top=1")
    assert computed["@odata.context"] == f"{ROOT}/$metadata#LearnerProgress(*,twice)"


def test_what_belongs_to_a_related_row_counts_once(client: TestClient) -> None:
    """Section 3.2.1.1: each entity reached by the path is considered exactly once."""
    once = values(client, "aggregate(module/module_id with sum as s,module/$count as n)")
    assert once == [{"s": 1 + 2 + 3, "n": 3}]
    each = values(client, "compute(module/module_id as id)/aggregate(id with sum as s)")
    assert each == [{"s": sum(int(row["module_key"][1:]) + 1 for row in ROWS)}]


def test_what_groups_know_of_a_related_row_counts_once_too(client: TestClient) -> None:
    """Section 3.2.1.1: of several occurrences of a transient entity one is kept."""
    for known in ("module/module_id", "module/module_id,module/name", "module/module_id,cycle"):
        groups = f"groupby(({known},status))"
        (row,) = values(client, f"{groups}/aggregate(module/module_id with sum as s,$count as n)")
        assert row["s"] == 1 + 2 + 3
        assert row["n"] > 3


def test_rows_of_a_concat_lead_where_some_of_them_do(client: TestClient) -> None:
    both = "concat(aggregate($count as n),identity)"
    named = [row for row in ROWS if row["module_key"] == "m0"]
    found = values(client, f"{both}/filter(module/name eq 'Module \"0\"')/aggregate($count as k)")
    assert found == [{"k": len(named)}]
    told = client.get(
        "LearnerProgress?$apply=concat(groupby((module_key)),identity)/filter(module/known)"
    )
    assert told.status_code == 400


def test_numbers_that_nobody_asks_for_need_not_be_reckoned(client: TestClient) -> None:
    unasked = "groupby((status),aggregate($count as a))/aggregate(a with sum as b)"
    rows = values(client, f"concat(filter(passed),{unasked})/aggregate($count as n)")
    assert rows == [{"n": 1 + sum(row["passed"] is True for row in ROWS)}]


def test_truth_values_have_a_least_and_a_greatest(client: TestClient) -> None:
    """Section 3.2.1.3.2: any values with a totally ordered domain; false is less than true."""
    asked = "aggregate(passed with min as least,passed with max as most)"
    for where, least, most in (
        ("true", False, True),
        ("passed", True, True),
        ("false", None, None),
    ):
        (row,) = values(client, f"filter({where})/{asked}")
        assert (row["least"], row["most"]) == (least, most)


def test_the_largest_numbers_deviate_too(client: TestClient) -> None:
    huge = "compute(1e308 as d)/aggregate(d with fullcount.deviation as x,d with max as m)"
    assert values(client, huge) == [{"x": 0.0, "m": 1e308}]


def test_sums_keep_the_smallest_and_the_largest_numbers(client: TestClient) -> None:
    scores = [row["score"] for row in ROWS if row["score"] is not None]
    small = "compute(score mul 1e-12 as s)/aggregate(s with sum as x,s with average as m)"
    (row,) = values(client, small)
    assert row["x"] == float(sum(Fraction(f"{one * 1e-12:.15g}") for one in scores))
    assert row["m"] == row["x"] / len(scores)
    for ranked in ("topsum(3{0},score{1})", "toppercent(50,score{1})"):
        counted = [
            values(client, f"{ranked.format(*unit)}/aggregate($count as n)")
            for unit in (("", ""), ("e-15", " mul 1e-15"), ("e270", " mul 1e270"))
        ]
        assert counted[0] == counted[1] == counted[2]
    whole = "compute(assignment_id add 9007199254740989 as w)"
    (row,) = values(client, f"{whole}/aggregate(w with average as m,w with sum as s)")
    every = [one["assignment_id"] + 9007199254740989 for one in ROWS]
    assert (row["m"], row["s"]) == (sum(every) / len(every), sum(every))


def test_whole_numbers_beyond_64_bits_are_no_values(client: TestClient) -> None:
    beyond = "compute(assignment_id add 9223372036854775787 as w)"
    numbers = "aggregate(w with max as most,w with min as least,w with countdistinct as n)"
    assert values(client, f"{beyond}/{numbers}") == [
        {"most": 2**63 - 1, "least": 2**63 - 20, "n": 20}
    ]


def test_nothing_adds_up_to_null_and_counts_nought(client: TestClient) -> None:
    rows = values(client, "filter(false)/aggregate(score with sum as total,$count as n)")
    assert rows == [{"total": None, "n": 0}]


@pytest.mark.parametrize(
    "steps",
    [
        "filter(score gt 1e9)",
        "search(zzz)",
        "top(0)",
        "skip(99)",
        "topsum(0,score)",
        "groupby((learner_key),filter(score gt 1e9)/aggregate($count as m))/filter(m gt 0)",
        "filter(score gt 1e9)/groupby((learner_key),aggregate($count as m))",
        "concat(filter(score gt 1e9),top(0))",
    ],
)
def test_a_group_of_which_nothing_is_left_has_its_numbers(client: TestClient, steps: str) -> None:
    numbers = "aggregate($count as n,score with sum as total,status with countdistinct as kinds)"
    if "groupby" in steps:
        numbers = "aggregate($count as n,m with sum as total,m with countdistinct as kinds)"
    rows = values(client, f"groupby((status),{steps}/{numbers})")
    statuses = sorted({row["status"] for row in ROWS})
    empty = {"n": 0, "total": None, "kinds": 0}
    assert rows == [{"status": status} | empty for status in statuses]
    assert ask(client, f"groupby((status),{steps}/{numbers})", "$count=true")["@odata.count"] == 5


def test_numbers_of_an_empty_group_need_not_be_asked_for(client: TestClient) -> None:
    counted = "groupby((status),filter(score gt 1e9)/aggregate($count as n))"
    assert values(client, f"{counted}/aggregate($count as m)") == [{"m": 5}]
    assert values(client, f"{counted}/groupby((status))", "$top=1") == [{"status": "completed"}]


def test_groups_of_what_is_left_are_those_of_its_rows(client: TestClient) -> None:
    few = "filter(module_key eq 'm0' and cycle eq 2)"
    left = {r["status"] for r in ROWS if r["module_key"] == "m0" and r["cycle"] == 2}
    gone = {row["status"] for row in ROWS} - left
    assert gone
    rows = values(client, f"groupby((status),{few}/groupby((module_key),aggregate($count as n)))")
    assert {row["status"] for row in rows} == left
    rows = values(client, f"groupby((status),{few}/aggregate($count as n))/filter(n eq 0)")
    assert rows == [{"status": status, "n": 0} for status in sorted(gone)]


def test_words_to_be_found_may_hold_quotes(client: TestClient) -> None:
    counted = r'search("Module \"0\"")/aggregate($count as n)'
    path = f"Modules?$apply={quote(counted)}"
    assert bare_rows(client.get(path).json()) == [{"n": 1}]


def test_what_was_counted_is_divided_as_a_decimal(client: TestClient) -> None:
    counted = "groupby((module_type),aggregate($count as n))"
    halves = values(client, f"{counted}/compute(n div 2 as half)")
    assert {row["module_type"]: row["half"] for row in halves} == {
        "checklist": 4,
        "course": 3.5,
        "quest": 4,
    }
    assert len(values(client, counted, "$filter=n div 2 eq 3.5")) == 1


def test_a_sum_is_reached_once_and_no_row_counts_behind_it(client: TestClient) -> None:
    below = "filter(score ne null)/compute(1 sub score as d)"
    numbers = sorted((1 - row["score"] for row in ROWS if row["score"] is not None), reverse=True)
    assert sum(numbers) < numbers[0]
    assert values(client, f"{below}/topsum(0.9,d)/aggregate($count as n)") == [{"n": 1}]
    for bound in (0, -1):
        assert values(client, f"{below}/topsum({bound},d)") == []
        assert values(client, f"{below}/bottomsum({bound},d)") == []


def test_measures_are_custom_aggregates_and_bring_their_parts(client: TestClient) -> None:
    (row,) = values(client, "aggregate(completion_rate)")
    assert list(row) == ["completed", "assigned_less_waived", "completion_rate"]
    assert values(client, "aggregate(completion_rate,completed)") == [row]
    (renamed,) = values(client, "groupby((status),aggregate(completion_rate as r))", "$top=1")
    assert list(renamed) == ["status", "completed", "assigned_less_waived", "r"]


@pytest.mark.parametrize(
    "numbers", ["score with sum as completed,completion_rate", "completion_rate as completed"]
)
def test_a_rate_is_never_of_another_number_of_the_same_name(
    client: TestClient, numbers: str
) -> None:
    answer = client.get(f"LearnerProgress?$apply=aggregate({numbers})")
    assert answer.status_code == 400
    assert "'completed' twice" in answer.json()["error"]["message"]


def test_full_metadata_tells_types_and_no_address(client: TestClient) -> None:
    path = "groupby((status),aggregate($count as n,due_at with max as last))"
    address = f"LearnerProgress?$apply={path}&$format=application/json;odata.metadata=full"
    row = client.get(address).json()["value"][0]
    assert row["n@odata.type"] == "#Decimal"
    assert row["last@odata.type"] == "#DateTimeOffset"
    assert row["status@odata.type"].startswith("#fullcount.")
    assert not [name for name in row if name.startswith("@")]


def test_types_that_no_reader_can_know_are_told(client: TestClient) -> None:
    """JSON Format 4.01, section 4.6.3: those of columns that $metadata does not declare."""
    numbers = "$count as n,time_spent_s with min as t,due_at with max as last,score with sum as s"
    (row, *_) = ask(client, f"groupby((status,due_at),aggregate({numbers}))", "$skip=5")["value"]
    assert {name: told for name, told in row.items() if "@" in name} == {
        "n@odata.type": "#Decimal",
        "t@odata.type": "#Int64",
        "last@odata.type": "#DateTimeOffset",
    }
    computed = "status as word,cycle add 9007199254740992 as e,due_at sub assigned_at as d"
    asked = "$select=word,e,d&$top=1&$skip=1&$format=application/json;IEEE754Compatible=true"
    for query in (f"$compute={computed}", f"$apply=compute({computed})"):
        (row,) = client.get(f"LearnerProgress?{query}&{asked}").json()["value"]
        assert row["word@odata.type"] == "#fullcount.Status"
        assert (row["e@odata.type"], row["e"]) == ("#Int64", "9007199254740993")
        assert row["d@odata.type"] == "#Duration"
    one = client.get(f"LearnerProgress(2)?$compute={computed}&$select=d").json()
    assert one["d@odata.type"] == "#Duration"


def test_a_table_has_a_column_for_each_path(client: TestClient) -> None:
    grouped = "groupby((module/name),aggregate($count as n))"
    lines = client.get(f"LearnerProgress?$apply={grouped}&$format=csv").text.splitlines()
    assert lines[0] == "module/name,n"
    assert len(lines) == 4


def test_the_rows_of_a_path_are_transformed(client: TestClient) -> None:
    rows = bare_rows(ask(client, "aggregate($count as n)", path="Learners(1)/progress"))
    assert rows == [{"n": sum(row["learner_key"] == "u1" for row in ROWS)}]


@pytest.mark.parametrize(
    ("apply", "status", "code"),
    [
        ("nest(identity as x)", 501, "query.not_supported"),
        ("join(progress as x)", 501, "query.not_supported"),
        ("Custom.condense()", 501, "query.not_supported"),
        ("aggregate(score with sum from status with average as x)", 501, "query.not_supported"),
        ("aggregate(score with Custom.mode as x)", 501, "query.not_supported"),
        ("compute($these/$count as x)", 501, "query.not_supported"),
        ("groupby((rolluprecursive($root/Teams,H,team_key)))", 501, "query.not_supported"),
        ("groupby((status))&$expand=module", 501, "query.not_supported"),
        ("fold(status)", 400, "query.syntax"),
        ("aggregate()", 400, "query.syntax"),
        ("aggregate(score with sum)", 400, "query.syntax"),
        ("aggregate(score with mode as x)", 400, "query.option"),
        ("aggregate(score with sum as score)", 400, "query.option"),
        ("aggregate(score with sum as a,score with min as a)", 400, "query.option"),
        ("aggregate(status with sum as x)", 400, "query.type"),
        ("aggregate(scor with sum as x)", 400, "query.unknown_field"),
        ("groupby((status))/filter(score gt 1)", 400, "query.unknown_field"),
        ("aggregate(attempts_made/$count as x)", 501, "query.not_supported"),
        ("aggregate(attempts_made/score with max as x)", 501, "query.not_supported"),
        ("aggregate(learner/progress/score with sum as x)", 501, "query.not_supported"),
        ("aggregate(modul/score with sum as x)", 400, "query.unknown_field"),
        ("aggregate(modul/$count as x)", 400, "query.unknown_field"),
        ("aggregate(score/$count as x)", 400, "query.type"),
        ("aggregate(INF with max as x)", 400, "query.type"),
        ("compute(case(passed:NaN,true:score) as x)", 400, "query.type"),
        ("compute(score as x)/compute(score as x)", 400, "query.option"),
        ("groupby((status))&$compute=1 as score", 400, "query.option"),
        ("groupby((status))&$deltatoken=x", 501, "query.not_supported"),
        ("topcount(0,score)", 400, "query.option"),
        ("topcount(1.5,score)", 400, "query.option"),
        ("topsum(INF,score)", 400, "query.option"),
        ("toppercent(-1,score)", 400, "query.option"),
        ("toppercent(101,score)", 400, "query.option"),
        ("/".join(["identity"] * 9), 400, "query.too_complex"),
        ("/".join(["groupby((rollup(status,reason,learner_key)))"] * 4), 400, "query.too_complex"),
    ],
)
def test_what_is_wrong_or_not_built_is_refused_by_name(
    client: TestClient, apply: str, status: int, code: str
) -> None:
    answer = client.get(f"LearnerProgress?$apply={apply}")
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["code"] == code


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("status with min", "status is of fullcount.Status; 'min' does not take it"),
        ("learner_key with sum", "learner_key is of Edm.String; 'sum' does not take it"),
        ("passed with average", "passed is of Edm.Boolean; 'average' does not take it"),
        ("due_at with median", "due_at is of Edm.DateTimeOffset; 'fullcount.median' does not"),
    ],
)
def test_a_type_that_a_method_does_not_take_is_told_in_words_of_the_feed(
    client: TestClient, number: str, words: str
) -> None:
    answer = client.get(f"LearnerProgress?$apply=aggregate({number} as x)")
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert "It takes Edm.Int64, Edm.Double" in answer.text or "It takes Edm.String" in answer.text


def test_a_sum_to_be_reached_may_be_any_number(client: TestClient) -> None:
    """Section 3.3.1.3: the first parameter is a number."""
    for bound, count in (("1e300", len(ROWS)), ("-1e300", 0), ("0.5", 1)):
        assert values(client, f"topsum({bound},score)/aggregate($count as n)") == [{"n": count}]


def test_a_single_row_takes_no_transformations(client: TestClient) -> None:
    assert client.get("LearnerProgress(1)?$apply=identity").status_code == 400


def test_what_is_announced_is_what_is_built(client: TestClient) -> None:
    model = client.get("$metadata?$format=json").json()
    told = model["fullcount"]["Container"]["LearnerProgress"]
    supported = told["@Aggregation.ApplySupported"]
    assert "concat" in supported["Transformations"]
    assert "nest" not in supported["Transformations"]
    assert told["@Aggregation.CustomAggregate#completion_rate"] == "Edm.Double"
    for path in supported["GroupableProperties"]:
        assert ask(client, f"groupby(({path}))", "$top=1")["value"]
    for one in supported["AggregatableProperties"]:
        # One row there has 2^53 seconds: their millionths are more than SQLite adds up.
        methods = [m for m in one["SupportedAggregationMethods"] if m != "average"]
        told = [f"{one['Property']} with {m} as x{i}" for i, m in enumerate(methods)]
        assert len(values(client, f"aggregate({','.join(told)})")) == 1
    xml = client.get("$metadata").text
    assert 'Term="Aggregation.CustomAggregate" Qualifier="completion_rate"' in xml


def sets_of(model: Any) -> dict[str, Any]:
    """The sets of a model by name."""
    found = model["Container"].items()
    return {name: told for name, told in found if isinstance(told, dict) and "$Collection" in told}


def test_custom_aggregates_have_the_type_that_is_announced(client: TestClient) -> None:
    """Section 5.2: where a property is called alike, that is its type."""
    model = client.get("$metadata?$format=json").json()["fullcount"]
    sets = sets_of(model)
    assert "@Aggregation.CustomAggregate#passed" not in sets["LearnerProgress"]
    assert sets["CertificationStanding"]["@Aggregation.CustomAggregate#renewals_due"] == "Edm.Int64"
    full = "$format=application/json;odata.metadata=full"
    for name, told in sets.items():
        announced = {
            key.partition("#")[2]: kind
            for key, kind in told.items()
            if key.startswith("@Aggregation.CustomAggregate#")
        }
        properties = model[told["$Type"].partition(".")[2]]
        for measure, kind in announced.items():
            (row,) = ask(client, f"aggregate({measure})", full, path=name)["value"]
            found = row.get(f"{measure}@odata.type", "#Double").replace("#", "Edm.")
            assert row[measure] is None or found == kind
            for column in row.keys() & properties.keys():
                assert properties[column]["$Type"] == announced[column]
    found = client.get("LearnerProgress?$apply=groupby((passed),aggregate(pass_rate))")
    assert list(found.json()["value"][0]) == ["passed", "judged@odata.type", "judged", "pass_rate"]


def test_search_is_announced_where_there_is_text_to_search(client: TestClient) -> None:
    for name, told in sets_of(client.get("$metadata?$format=json").json()["fullcount"]).items():
        if "search" in told["@Aggregation.ApplySupported"]["Transformations"]:
            ask(client, "search(a)/aggregate($count as n)", path=name)
        else:
            answer = client.get(f"{name}?$apply=search(a)")
            assert answer.status_code == 501
