"""Bodies taken apart: one bad item never stops its neighbours, no list at all is refused."""

import pytest

from app.base.config import Settings
from app.base.errors import BodyNotJson, BodyTypeUnknown, NotEvents, TooManyEvents
from app.intake.decode import BATCH_TYPE, LINES_TYPE, PLAIN_TYPE, SINGLE_TYPE, Broken, decode_body


def test_an_object_is_one_event_and_a_list_is_many(settings: Settings) -> None:
    assert decode_body(b'{"id":"a"}', SINGLE_TYPE, settings).is_single
    assert decode_body(b'{"id":"a"}', PLAIN_TYPE, settings).is_single
    batch = decode_body(b'[{"id":"a"},{"id":"b"}]', f"{PLAIN_TYPE}; charset=utf-8", settings)
    assert batch.items == [{"id": "a"}, {"id": "b"}]
    assert not batch.is_single


@pytest.mark.parametrize(
    "bad",
    [
        b'{"id":"a","id":"b"}',
        b'{"x":NaN}',
        b'{"x":-Infinity}',
        b'{"x":"\\ud800"}',
        b'{"x":' + b"1" * 5000 + b"}",
        b"[" * 300 + b"]" * 300,
    ],
    ids=["twice", "nan", "infinity", "surrogate", "digits", "deep"],
)
def test_an_item_that_no_two_readers_read_alike_leaves_its_neighbours(
    bad: bytes, settings: Settings
) -> None:
    items = decode_body(b'[{"id":"a"}, ' + bad + b' ,{"id":"c"}]', BATCH_TYPE, settings).items
    assert items[0] == {"id": "a"}
    assert items[2] == {"id": "c"}
    assert isinstance(items[1], Broken)
    assert "line 1" in items[1].message


def test_a_line_that_is_no_json_leaves_its_neighbours(settings: Settings) -> None:
    body = b'\xef\xbb\xbf{"id":"a"}\r\n\n{"id":\n{"id":"\xff"}\n{"id":"d"}'
    items = decode_body(body, LINES_TYPE, settings).items
    assert [isinstance(item, Broken) for item in items] == [False, True, True, False]


@pytest.mark.parametrize(
    "body",
    [b"", b"[", b'[{"id":"a"},]', b'[{"id":"a"} {"id":"b"}]', b"[1]]", b"hello", b'["\xff"]'],
)
def test_a_body_that_is_no_json_is_refused_with_its_place(body: bytes, settings: Settings) -> None:
    with pytest.raises(BodyNotJson) as caught:
        decode_body(body, PLAIN_TYPE, settings)
    assert "line" in caught.value.detail or "byte" in caught.value.detail


def test_a_body_nested_beyond_all_measure_is_refused(settings: Settings) -> None:
    with pytest.raises(BodyNotJson, match="nested"):
        decode_body(b"[" * 100_000, BATCH_TYPE, settings)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'[{"id":"a"}]', SINGLE_TYPE),
        (b'{"id":"a"}', BATCH_TYPE),
        (b'"text"', PLAIN_TYPE),
        (b"\n \n", LINES_TYPE),
    ],
)
def test_a_body_of_another_shape_than_promised_is_no_list_of_events(
    body: bytes, kind: str, settings: Settings
) -> None:
    with pytest.raises(NotEvents):
        decode_body(body, kind, settings)


def test_an_unknown_content_type_is_told_the_three_that_are_known(settings: Settings) -> None:
    with pytest.raises(BodyTypeUnknown) as caught:
        decode_body(b"{}", "text/csv", settings)
    assert all(kind in str(caught.value.hint) for kind in (SINGLE_TYPE, BATCH_TYPE, LINES_TYPE))


def test_more_events_than_the_limit_are_refused_as_a_whole(settings: Settings) -> None:
    small = settings.model_copy(update={"limit_batch_events": 2, "limit_ndjson_events": 3})
    with pytest.raises(TooManyEvents, match="3 events"):
        decode_body(b"[{},{},{}]", BATCH_TYPE, small)
    assert len(decode_body(b"{}\n{}\n{}", LINES_TYPE, small).items) == 3
    with pytest.raises(TooManyEvents, match="4 events"):
        decode_body(b"{}\n{}\n{}\n{}", LINES_TYPE, small)
