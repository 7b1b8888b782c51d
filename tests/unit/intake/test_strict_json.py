"""JSON that every reader reads alike, and the faults that a parser alone lets pass."""

import pytest

from app.base.config import Settings
from app.base.errors import BodyNotJson
from app.intake.strict_json import read_json


def test_ordinary_json_is_read(settings: Settings) -> None:
    body = '{"a":[1,2.5,null,true,"ü"],"big":9223372036854775807}'.encode()
    assert read_json(body, settings) == {"a": [1, 2.5, None, True, "ü"], "big": 2**63 - 1}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"a":1,"a":2}', "duplicate key"),
        (b'{"a":NaN}', "line 1"),
        (b'{"a":1e999}', "a is beyond the range of numbers"),
        (b'{"a":"\\u0000"}', "a holds the character NUL"),
        (b'{"\\u0000":1}', "NUL"),
        (b'{"a":"\\ud800"}', "line 1"),
        (b'{"a":[0,36893488147419103232]}', r"a\[1\] is an integer beyond 64 bits"),
        (b"[" * 17 + b"]" * 17, "nested deeper than 16 levels"),
        (b'{"a":"' + b"x" * 8193 + b'"}', "longer than 8192 bytes"),
        ('{"a":"' + "ü" * 4097 + '"}', "longer than 8192 bytes"),
        (b'{"a":1} {}', "trailing"),
    ],
)
def test_what_two_readers_might_read_differently_is_refused(
    body: bytes | str, words: str, settings: Settings
) -> None:
    raw = body.encode() if isinstance(body, str) else body
    with pytest.raises(BodyNotJson, match=f"(?i){words}"):
        read_json(raw, settings)


def test_sixteen_levels_and_eight_kibibytes_are_allowed(settings: Settings) -> None:
    read_json(b"[" * 16 + b"]" * 16, settings)
    read_json(b'"' + b"x" * 8192 + b'"', settings)
