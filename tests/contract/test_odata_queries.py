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
    assert rows == [{"assignment_id": n, "twice": 2 * n} for n in (23, 22, 21)]


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
        "Modules?$select=tags($filter=startswith($this,'a'))",
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
