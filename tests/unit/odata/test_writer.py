"""Envelopes around rows, and the context URLs clients read columns from."""

from datetime import UTC, datetime

import orjson
import pytest

from app.ledger.facts import Freshness, StreamLag
from app.ledger.standing import Standing
from app.ledger.verdict import State, Verdict
from app.odata.preferences import Preferences
from app.odata.writer import (
    Envelope,
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
from tests.unit.odata.bookshop import AUTHORS, BOOKS, PRINTS, ROOT, shop

VERDICT = Verdict(State.UNKNOWN, "manifest_missing")
QUEST = StreamLag("quest", "module_type", "", Standing(VERDICT))
FRESHNESS = Freshness(VERDICT, (QUEST,), 42, datetime(2025, 5, 24, 10, tzinfo=UTC))


def test_a_page_carries_rows_as_they_are_and_the_verdict() -> None:
    text = write_page(
        b'{"a":1.10},{"a":null}', Envelope("c", FRESHNESS), count=9, next_link='n?a="&b'
    )
    assert b'"value":[{"a":1.10},{"a":null}]' in text
    assert orjson.loads(text) == {
        "@odata.context": "c",
        "@odata.count": 9,
        "@fullcount.verdict": "unknown",
        "@fullcount.reason": "manifest_missing",
        "@fullcount.complete_through": None,
        "@fullcount.revision": 42,
        "@fullcount.evaluated_at": "2025-05-24T10:00:00Z",
        "@fullcount.streams": [
            {"stream": "quest", "verdict": "unknown", "reason": "manifest_missing"}
        ],
        "value": [{"a": 1.1}, {"a": None}],
        "@odata.nextLink": 'n?a="&b',
    }


def test_the_context_comes_first() -> None:
    text = write_page(b"", Envelope("c", FRESHNESS), count=None, next_link=None)
    assert next(iter(orjson.loads(text))) == "@odata.context"
    assert text.endswith(b'"value":[]}')


def test_without_metadata_there_is_no_context() -> None:
    text = write_page(b"", Envelope("", FRESHNESS), count=0, next_link=None)
    assert "@odata.context" not in text.decode()
    assert orjson.loads(text)["@odata.count"] == 0


def test_annotations_nobody_wants_are_left_out() -> None:
    bare = Envelope("", FRESHNESS, Preferences(annotations=("-*",)))
    assert write_page(b"", bare, count=None, next_link=None) == b'{"value":[]}'
    assert write_entity(b'{"a":1}', bare) == b'{"a":1}'
    assert orjson.loads(write_property(1, bare, {})) == {"value": 1}


def test_whole_numbers_are_text_for_readers_of_doubles() -> None:
    envelope = Envelope("", FRESHNESS, numbers_as_text=True)
    told = orjson.loads(write_page(b"", envelope, count=9, next_link=None))
    assert (told["@odata.count"], told["@fullcount.revision"]) == ("9", "42")


def test_an_entity_and_its_control_information_are_one_object() -> None:
    told = orjson.loads(write_entity(b'{"a":1}', Envelope("c", FRESHNESS)))
    assert (told["@odata.context"], told["a"]) == ("c", 1)
    assert orjson.loads(write_entity(b"{}", Envelope("c", FRESHNESS)))


def test_a_property_is_a_value_or_the_members_of_an_object() -> None:
    assert orjson.loads(write_property([1], Envelope("c", FRESHNESS), {}))["value"] == [1]
    assert orjson.loads(write_property({"k": 1}, Envelope("c", FRESHNESS), {}))["k"] == 1


@pytest.mark.parametrize(
    ("value", "text"), [('a"b', 'a"b'), (1.5, "1.5"), (True, "true"), (7, "7")]
)
def test_a_bare_value_is_plain_text(value: object, text: str) -> None:
    assert write_raw_value(value).decode() == text


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
