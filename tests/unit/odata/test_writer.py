"""Envelopes around rows, and the context URLs clients read columns from."""

from datetime import UTC, datetime

import orjson
import pytest

from app.ledger.facts import Freshness, StreamLag
from app.ledger.verdict import State, Verdict
from app.odata.writer import (
    entity_context,
    property_context,
    set_context,
    write_entity,
    write_key,
    write_page,
    write_property,
    write_raw_value,
    write_service,
)
from app.store.sums import COUNTS
from tests.unit.odata.bookshop import AUTHORS, BOOKS, PRINTS, ROOT, shop

VERDICT = Verdict(State.UNKNOWN, "manifest_missing")
QUEST = StreamLag(
    stream="quest",
    kind="module_type",
    source="",
    verdict=VERDICT,
    counts=dict.fromkeys(COUNTS, 0),
    last_received_at=None,
    last_applied_at=None,
    processing_lag_s=None,
)
FRESHNESS = Freshness(VERDICT, (QUEST,), 42, datetime(2025, 5, 24, 10, tzinfo=UTC))


def test_a_page_carries_rows_as_they_are_and_the_verdict() -> None:
    text = write_page(
        '{"a":1.10},{"a":null}', context="c", freshness=FRESHNESS, count=9, next_link='n?a="&b'
    )
    assert '"value":[{"a":1.10},{"a":null}]' in text
    assert orjson.loads(text) == {
        "@odata.context": "c",
        "@odata.count": 9,
        "@fullcount.verdict": "unknown",
        "@fullcount.reason": "manifest_missing",
        "@fullcount.revision": 42,
        "@fullcount.evaluated_at": "2025-05-24T10:00:00Z",
        "@fullcount.streams": [
            {"stream": "quest", "verdict": "unknown", "reason": "manifest_missing"}
        ],
        "value": [{"a": 1.1}, {"a": None}],
        "@odata.nextLink": 'n?a="&b',
    }


def test_the_context_comes_first() -> None:
    text = write_page("", context="c", freshness=FRESHNESS, count=None, next_link=None)
    assert next(iter(orjson.loads(text))) == "@odata.context"
    assert text.endswith('"value":[]}')


def test_without_metadata_there_is_no_context() -> None:
    text = write_page("", context="", freshness=FRESHNESS, count=0, next_link=None)
    assert "@odata.context" not in text
    assert orjson.loads(text)["@odata.count"] == 0


def test_an_entity_and_its_control_information_are_one_object() -> None:
    told = orjson.loads(write_entity('{"a":1}', context="c", freshness=FRESHNESS))
    assert (told["@odata.context"], told["a"]) == ("c", 1)
    assert orjson.loads(write_entity("{}", context="c", freshness=FRESHNESS))


def test_a_property_is_a_value_or_the_members_of_an_object() -> None:
    assert orjson.loads(write_property([1], context="c", freshness=FRESHNESS))["value"] == [1]
    assert orjson.loads(write_property({"k": 1}, context="c", freshness=FRESHNESS))["k"] == 1


@pytest.mark.parametrize(
    ("value", "text"), [('a"b', 'a"b'), (1.5, "1.5"), (True, "true"), (7, "7")]
)
def test_a_bare_value_is_plain_text(value: object, text: str) -> None:
    assert write_raw_value(value) == text


def test_context_urls_name_set_columns_and_shape() -> None:
    assert set_context(shop(), BOOKS, "") == f"{ROOT}/$metadata#Books"
    assert set_context(shop(), BOOKS, "title,author(name)") == (
        f"{ROOT}/$metadata#Books(title,author(name))"
    )
    assert entity_context(shop(), BOOKS, "title") == f"{ROOT}/$metadata#Books(title)/$entity"
    key = {"author_key": "u/4'2"}
    assert property_context(shop(), AUTHORS, key=key, name="name") == (
        f"{ROOT}/$metadata#Authors('u%2F4%27%272')/name"
    )
    assert write_key(PRINTS, {"book_id": 1, "place": "x"}) == "book_id=1,place='x'"


def test_the_service_document_lists_what_the_caller_may_see() -> None:
    told = orjson.loads(write_service(shop(), with_context=True))
    assert told["@odata.context"] == f"{ROOT}/$metadata"
    assert [one["name"] for one in told["value"]] == ["Books", "Authors", "Prints"]
    assert told["value"][0]["url"] == "Books"
