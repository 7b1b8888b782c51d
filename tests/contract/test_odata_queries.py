"""What the standard's conformance levels ask of expressions and options, asked over HTTP."""

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest
from fastapi.testclient import TestClient

from app.base.config import Settings
from app.catalog.functions import FUNCTIONS
from app.store.engine import Store
from tests.contract.feed_rows import FeedKeys, feed_client, fill_feed, progress

# The protocol is the same whatever the database; what differs there has its tests on both.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


ROWS = [progress(number) for number in range(23)]
Row = dict[str, Any]


@pytest.fixture
def client(store: Store, settings: Settings) -> Iterator[TestClient]:
    keys: FeedKeys = fill_feed(store)
    with feed_client(store, settings, keys.reader) as opened:
        yield opened


def found(client: TestClient, where: str, more: str = "") -> list[int]:
    """The assignments a condition finds."""
    path = f"LearnerProgress?$select=assignment_id&$filter={quote(where)}{more}"
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return [row["assignment_id"] for row in answer.json()["value"]]


def expected(holds: Callable[[Row], bool]) -> list[int]:
    """The assignments for which it holds."""
    return [row["assignment_id"] for row in ROWS if holds(row)]


def body_of(client: TestClient, path: str) -> Any:
    """The body at a path."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def has_attempts(row: Row) -> bool:
    """Only the first assignment was attempted, four times."""
    return bool(row["assignment_id"] == 1)


# Expressions


def test_equal_and_unequal_know_two_outcomes(client: TestClient) -> None:
    assert found(client, "score eq 0.1") == expected(lambda row: row["score"] == 0.1)
    assert found(client, "score ne 0.1") == expected(lambda row: row["score"] != 0.1)
    assert found(client, "score eq null") == expected(lambda row: row["score"] is None)
    assert found(client, "not (score gt 1)") == expected(
        lambda row: row["score"] is None or row["score"] <= 1
    )


def test_every_operator_of_the_standard_is_known(client: TestClient) -> None:
    assert found(client, "cycle ge 2 and not (cycle le 1) or cycle lt 0") == expected(
        lambda row: row["cycle"] == 2
    )
    assert found(client, "assignment_id add 1 eq 3") == [2]
    assert found(client, "assignment_id sub 1 eq 3") == [4]
    assert found(client, "assignment_id mul 2 eq 10") == [5]
    assert found(client, "assignment_id div 2 eq 3") == [6, 7]
    assert found(client, "assignment_id mod 10 eq 3") == [3, 13, 23]
    assert found(client, "-assignment_id eq -2") == [2]


def test_division_by_fractions_is_known(client: TestClient) -> None:
    assert found(client, "assignment_id divby 2 eq 3.5") == [7]


def test_membership_in_a_list(client: TestClient) -> None:
    assert found(client, "status in ('failed','waived')") == expected(
        lambda row: row["status"] in {"failed", "waived"}
    )
    assert found(client, "assignment_id in (3)") == [3]
    assert found(client, "assignment_id in ()") == []
    assert found(client, "assignment_id in [cycle add 2,cycle mul 5]") == [3, 5]
    assert found(client, "score in [max_score,null]") == found(client, "score eq null")


def test_parameters_stand_for_values(client: TestClient) -> None:
    low = expected(lambda row: row["score"] is not None and row["score"] < 1)
    assert found(client, "score lt @most", "&@most=1") == low
    assert found(client, "status in @some", "&@some=['failed']") == expected(
        lambda row: row["status"] == "failed"
    )


def test_words_of_a_closed_list_are_written_with_or_without_their_type(
    client: TestClient,
) -> None:
    done = expected(lambda row: row["status"] == "completed")
    assert found(client, "status eq 'completed'") == done
    assert found(client, "status eq fullcount.Status'completed'") == done
    foreign = client.get("LearnerProgress?$filter=status eq foo.Status'completed'")
    assert foreign.status_code == 400
    assert "is of fullcount.Status, not of 'foo.Status'" in foreign.json()["error"]["message"]


def test_durations_are_written_with_their_type(client: TestClient) -> None:
    for text in ("duration'P30D'", "duration'PT720H'"):
        where = f"assigned_at add {text} lt 2025-02-03T00:00:00Z"
        assert found(client, where) == [1, 2, 3], text


def test_names_of_functions_and_operators_count_in_any_case(client: TestClient) -> None:
    assert found(client, "CONTAINS(learner_key,'u5') AND cycle EQ 1") == expected(
        lambda row: row["learner_key"] == "u5" and row["cycle"] == 1
    )


def test_canonical_functions_find_what_they_say(client: TestClient) -> None:
    assert len({function.name for function in FUNCTIONS}) >= 25
    texts = {
        "contains(learner_key,'u')": lambda row: "u" in row["learner_key"],
        "startswith(learner_key,'u/')": lambda row: row["learner_key"].startswith("u/"),
        "endswith(learner_key,'5')": lambda row: row["learner_key"].endswith("5"),
        "length(learner_key) eq 2": lambda row: len(row["learner_key"]) == 2,
        "indexof(learner_key,'5') eq 1": lambda row: row["learner_key"].find("5") == 1,
        "substring(learner_key,1) eq '5'": lambda row: row["learner_key"][1:] == "5",
        "toupper(learner_key) eq 'U5'": lambda row: row["learner_key"].upper() == "U5",
        "concat(learner_key,'!') eq 'u5!'": lambda row: row["learner_key"] == "u5",
        "year(assigned_at) eq 2025 and day(assigned_at) le 3": lambda row: (
            row["assigned_at"].day <= 3
        ),
        "round(percent_complete) eq 33": lambda row: round(row["percent_complete"]) == 33,
        "floor(percent_complete) eq 12": lambda row: row["percent_complete"] == 12.5,
    }
    for text, holds in texts.items():
        assert found(client, text) == expected(holds), text


def test_numbers_are_cast_to_texts(client: TestClient) -> None:
    assert found(client, "cast(assignment_id,Edm.String) eq '3'") == [3]


def test_texts_are_cast_to_values_and_are_null_where_they_are_none(client: TestClient) -> None:
    assert found(client, "cast('3',Edm.Int64) eq assignment_id") == [3]
    assert found(client, "cast(substring(module_key,1),Edm.Int32) eq assignment_id sub 1") == [
        1,
        2,
        3,
    ]
    assert found(client, "cast(module_key,Edm.Int32) ne null") == []
    assert found(client, "cast(cast(score,Edm.String),Edm.Decimal) eq score and score ne null") == (
        expected(lambda row: row["score"] is not None)
    )
    assert found(client, "cast('2025-01-03',Edm.Date) eq date(assigned_at)") == [3]
    day = "concat('2025-01-1',substring(module_key,1))"
    assert found(client, f"cast({day},Edm.Date) eq date(assigned_at)") == [10, 11, 12]
    moment = "cast(cast(assigned_at,Edm.String),Edm.DateTimeOffset)"
    assert found(client, f"{moment} eq assigned_at and cycle eq 2") == expected(
        lambda row: row["cycle"] == 2
    )
    assert found(client, "cast('true',Edm.Boolean) and assignment_id eq 1") == [1]
    assert found(client, "cast('PT1H',Edm.Duration) eq duration'PT60M' and cycle eq 3") == []
    guid = "01234567-89AB-cdef-0123-456789abcdef"
    assert found(client, f"cast('{guid}',Edm.Guid) eq {guid.lower()} and assignment_id eq 1") == [1]
    assert found(client, "cast(learner_key,Edm.Guid) ne null") == []


def test_what_can_be_cast_to_a_type_is_of_it(client: TestClient) -> None:
    for field in ("time_spent_s", "attempts", "score", "learner_key"):
        for name in ("Byte", "Int32", "Double", "Decimal", "String"):
            of_it = found(client, f"isof({field},Edm.{name})")
            assert of_it == found(client, f"cast({field},Edm.{name}) ne null"), (field, name)
    assert found(client, "isof(time_spent_s,Edm.Byte)") == expected(
        lambda row: row["time_spent_s"] < 256
    )
    assert found(client, "isof(status,Edm.Int32)") == []
    for where in ("isof(fullcount.Nope)", "isof(score,fullcount.Nope)"):
        answer = client.get(f"LearnerProgress?$filter={where}")
        assert answer.status_code == 400
        assert "there is no type 'fullcount.Nope'" in answer.json()["error"]["message"]


def test_durations_need_no_type_beside_a_duration_or_moment(client: TestClient) -> None:
    soon = expected(lambda row: row["assigned_at"].day <= 3 and row["assigned_at"].month == 1)
    assert found(client, "assigned_at add 'P30D' lt 2025-02-03T00:00:00Z") == soon == [1, 2, 3]
    late = "2025-01-21T00:00:00Z sub assigned_at"
    assert found(client, f"{late} lt 'P1D' and {late} gt '-P1D'") == [20, 21]
    assert found(client, "totalseconds('PT1M') eq assignment_id add 57") == [3]


def test_seconds_of_seven_digits_are_compared_exactly(client: TestClient) -> None:
    """As clients on .NET write them; row n is n microseconds behind a full second."""
    moment = "2025-01-03T00:00:00.000002{}Z"
    assert found(client, f"assigned_at eq {moment.format('0')}") == [3]
    assert found(client, f"assigned_at eq {moment.format('9')}") == []
    assert found(client, f"assigned_at lt {moment.format('9')}") == [1, 2, 3]
    assert found(client, f"assigned_at le {moment.format('0')}") == [1, 2, 3]
    assert found(client, f"{moment.format('1')} ge assigned_at") == [1, 2, 3]


def test_whole_numbers_beyond_64_bits_have_decimals(client: TestClient) -> None:
    every = [row["assignment_id"] for row in ROWS]
    assert found(client, "time_spent_s lt 9223372036854775808") == every
    assert found(client, "time_spent_s ge -99999999999999999999999999999") == every
    assert found(client, "time_spent_s eq 123456789012345678901234567890.123") == []
    assert found(client, "assignment_id in (9223372036854775808,3)") == [3]
    assert found(client, "-(-9223372036854775808) gt assignment_id") == every


def test_chains_may_be_as_long_as_the_limit_says(client: TestClient) -> None:
    for chain, total in (
        (" add ".join(["assignment_id"] * 95), "95 mul assignment_id"),
        (" sub ".join(["assignment_id divby 2"] * 45), "-43 mul assignment_id divby 2"),
    ):
        assert found(client, f"{chain} eq {total}") == [row["assignment_id"] for row in ROWS]


def test_null_among_the_flags_of_a_word_is_unknown(client: TestClient) -> None:
    assert found(client, "status has null") == found(client, "not (status has null)") == []


def test_places_below_zero_count_from_the_end(client: TestClient) -> None:
    assert found(client, "substring(learner_key,-1) eq '5'") == expected(
        lambda row: row["learner_key"].endswith("5")
    )
    assert found(client, "substring(learner_key,-2,1) eq 'u' and cycle eq 1") == expected(
        lambda row: row["learner_key"][-2:-1] == "u" and row["cycle"] == 1
    )


def test_any_and_all_ask_members_of_lists(client: TestClient) -> None:
    tagged = "Modules?$select=module_id&$filter="
    for where, numbers in {
        "tags/any()": [1],
        "tags/any(t:t eq 'b')": [1],
        "tags/all(t:startswith(t,'a'))": [2, 3],
        "not tags/any(t:t eq 'b')": [2, 3],
    }.items():
        rows = body_of(client, tagged + where)["value"]
        assert [row["module_id"] for row in rows] == numbers, where
    assert found(client, "module/tags/any(t:t eq 'b')") == expected(
        lambda row: row["module_key"] == "m0"
    )


def test_any_and_all_ask_related_rows(client: TestClient) -> None:
    assert found(client, "attempts_made/any()") == [1]
    assert found(client, "attempts_made/any(a:a/attempt gt 3)") == [1]
    assert found(client, "attempts_made/any(a:a/attempt gt 4)") == []
    assert found(client, "attempts_made/all(a:a/attempt lt 3)") == expected(
        lambda row: not has_attempts(row)
    )


def test_related_rows_can_be_counted_in_conditions(client: TestClient) -> None:
    assert found(client, "attempts_made/$count eq 4") == [1]
    assert found(client, "attempts_made/$count($filter=attempt gt 2) eq 2") == [1]


def test_a_way_to_one_row_can_be_compared_with_null(client: TestClient) -> None:
    assert found(client, "series eq null") == expected(lambda row: not row["series_key"])
    assert found(client, "series ne null") == expected(lambda row: bool(row["series_key"]))


@pytest.mark.parametrize(
    "where",
    [
        "matchesPattern(learner_key,'u.*')",
        "geo.distance(learner_key,learner_key) lt 1",
    ],
)
def test_what_is_not_offered_in_conditions_says_so(client: TestClient, where: str) -> None:
    answer = client.get(f"LearnerProgress?$filter={quote(where)}")
    assert answer.status_code in {400, 501}
    assert answer.json()["error"]["code"] in {"query.not_supported", "query.type"}


# Options


def test_search_finds_words_in_any_case(client: TestClient) -> None:
    rows = body_of(client, "Modules?$search=MODULE&$select=module_id&$count=true")
    assert rows["@odata.count"] == 3
    assert body_of(client, "Modules?$search=m1&$select=module_id")["value"] == [{"module_id": 2}]
    assert client.get("Modules/$count?$search=m1").text == "1"
    either = body_of(client, "Modules?$search=m1 OR m2&$select=module_id")["value"]
    assert [row["module_id"] for row in either] == [2, 3]
    without_texts = client.get("SchemaChanges?$search=x")
    assert without_texts.status_code in {400, 501}


def test_columns_can_be_computed(client: TestClient) -> None:
    path = "LearnerProgress?$compute=assignment_id mul 2 as twice&$select=assignment_id,twice"
    rows = body_of(client, f"{path}&$filter=twice gt 40&$orderby=twice desc")["value"]
    assert [(row["assignment_id"], row["twice"]) for row in rows] == [(23, 46), (22, 44), (21, 42)]


def test_options_count_with_or_without_a_dollar_and_in_any_case(client: TestClient) -> None:
    plain = body_of(client, "Modules?$select=name&$top=1&$count=true")
    other = body_of(client, "Modules?SELECT=name&top=1&$Count=true")
    assert (plain["value"], plain["@odata.count"]) == (other["value"], other["@odata.count"])


def test_expanded_rows_take_every_option(client: TestClient) -> None:
    inner = (
        "$filter=attempt gt 1;$orderby=attempt desc;$skip=1;$top=1;$count=true;$select=attempt_id"
    )
    body = body_of(
        client, f"LearnerProgress(1)?$select=assignment_id&$expand=attempts_made({inner})"
    )
    assert body["attempts_made@odata.count"] == 3
    assert body["attempts_made"] == [{"attempt_id": 3}]
    found_words = body_of(client, "Learners(1)?$expand=progress($search=m0;$select=module_key)")
    assert {row["module_key"] for row in found_words["progress"]} == {"m0"}


@pytest.mark.parametrize(
    ("options", "tags", "count"),
    [
        ("$filter=startswith($this,'b')", ["b"], None),
        ("$filter=$this ne @a;@a='b'", ["a"], None),
        ("$search=B", ["b"], None),
        ("$orderby=$this desc", ["b", "a"], None),
        ("$orderby=length($this);$skip=1;$count=true", ["b"], 2),
        ("$top=1;$filter=$this ne 'a';$count=true", ["b"], 1),
        ("$top=0;$count=true", [], 2),
    ],
)
def test_options_choose_among_the_members_of_a_selected_list(
    client: TestClient, options: str, tags: list[str], count: int | None
) -> None:
    own = body_of(client, f"Modules(1)?$select=module_id,tags({options})")
    assert (own["tags"], own.get("tags@odata.count")) == (tags, count)
    assert own["@odata.context"].endswith("#Modules(module_id,tags)/$entity")
    way = f"LearnerProgress(1)?$select=cycle&$expand=module($select=tags({options}))"
    assert body_of(client, way)["module"]["tags"] == tags
    assert body_of(client, f"Modules?$select=tags({options})&$filter=module_id eq 2")["value"] == [
        {"@odata.id": "Modules(2)", "tags": []} | ({} if count is None else {"tags@odata.count": 0})
    ]


def test_a_list_is_chosen_once_and_by_what_it_holds(client: TestClient) -> None:
    for options in (
        "tags($top=1),tags",
        "tags($orderby=1)",
        "tags($filter=$this eq name)",
        "tags($filter=tags/any(t:t eq $this))",
        "tags($orderby=$this,$this,$this,$this,$this,$this)",
    ):
        assert client.get(f"Modules?$select={options}").status_code == 400
    table = client.get("Modules?$select=module_key,tags($top=1;$count=true)&$format=csv&$top=1")
    assert table.text == 'module_key,tags\r\nm0,"[""a""]"\r\n'


def test_a_delta_link_is_bound_to_the_options_of_lists(client: TestClient) -> None:
    tracked = {"Prefer": "odata.track-changes"}
    path = "Modules?$select=module_key,tags($top=1)"
    link = client.get(path, headers=tracked).json()["@odata.deltaLink"]
    other = client.get(link.replace("tags($top=1)", "tags($top=2)"))
    assert (other.status_code, other.json()["error"]["code"]) == (400, "query.token")


def test_aliases_within_an_option_are_known_there_alone(client: TestClient) -> None:
    inner = "$filter=assignment_id gt @a;$select=assignment_id;@a=18"
    path = f"Learners?$select=learner_id&$expand=progress({inner})&$filter=learner_id gt @a&@a=3"
    rows = body_of(client, path)["value"]
    told = {row["learner_id"]: [one["assignment_id"] for one in row["progress"]] for row in rows}
    assert told == {4: [19], 5: [20]}
    outside = "Learners?$expand=progress(@a=3)&$filter=learner_id gt @a"
    assert body_of(client, outside)["value"] == []


def test_names_come_back_in_the_case_of_the_metadata(client: TestClient) -> None:
    assert client.get("modules").status_code == 404
    assert client.get("Modules?$select=NAME").status_code == 400
    assert "Did you mean" in client.get("Modules?$select=Name").json()["error"]["message"]


@pytest.mark.parametrize(
    "path",
    [
        "LearnerProgress?$levels=1",
        "LearnerProgress?$index=1",
        "$crossjoin(Learners,Teams)",
        "Learners/$each",
        "Modules?$select=tags($compute=1 as one)",
    ],
)
def test_what_is_not_built_is_refused_by_name(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "query.not_supported")
    named = path.partition("$")[2].partition("=")[0].partition("(")[0]
    assert named in answer.json()["error"]["message"]


def test_names_do_not_differ_by_case_alone(client: TestClient) -> None:
    model = body_of(client, "$metadata?$format=json")["fullcount"]
    for owner in [model, *(held for held in model.values() if isinstance(held, dict))]:
        names = [name.lower() for name in owner if name[0] not in "$@"]
        assert len(names) == len(set(names))
