"""Texts are read, and numbers spelt, alike by SQLite, by PostgreSQL and in Python."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, Double, Text, bindparam, cast, create_engine, select

from app.store.casts import FORMS, NumberText, add_casts, read_form, read_text_as, spell_number
from app.store.json_fields import json_members
from app.store.jsontext import json_moment
from app.store.spans import add_spans

# By kind: texts and what each is read as.
READ: dict[str, dict[str, Any]] = {
    "whole": {
        "3": 3,
        "+03": 3,
        "-9223372036854775808": -(2**63),
        "9223372036854775807": 2**63 - 1,
        "9223372036854775808": None,
        "3.0": None,
        " 3": None,
        "3\n": None,
        "": None,
        "-": None,
        "٣": None,
        "0x3": None,
        "1" * 30: None,
    },
    "number": {
        "2.5": 2.5,
        "-1e3": -1000.0,
        "1E-2": 0.01,
        "0.1": 0.1,
        "-0": 0.0,
        "1e308": 1e308,
        "1e309": None,
        "1e-320": 0.0,
        "1e-999": 0.0,
        "9" * 255: 1e255,
        ".5": None,
        "5.": None,
        "INF": None,
        "NaN": None,
        "1e": None,
        "abc": None,
        "123456789012345678": 123456789012345680.0,
    },
    "flag": {"true": True, "FALSE": False, "1": None, "yes": None, "true ": None, "": None},
    "day": {
        "2024-02-29": "2024-02-29",
        "2025-02-29": None,
        "2000-02-29": "2000-02-29",
        "1900-02-29": None,
        "2025-04-31": None,
        "2025-12-31": "2025-12-31",
        "0001-01-01": "0001-01-01",
        "0000-01-01": None,
        "2025-13-01": None,
        "2025-1-1": None,
        "20250101": None,
    },
    "clock": {
        "07:30": "07:30:00.000000",
        "23:59:59": "23:59:59.000000",
        "00:00:00.5": "00:00:00.500000",
        "00:00:00.123456789012": "00:00:00.123456",
        "24:00": None,
        "7:30": None,
        "07:30:60": None,
    },
    "moment": {
        "2025-01-31T08:00:00Z": "2025-01-31T08:00:00.000000Z",
        "2025-01-31t08:00z": "2025-01-31T08:00:00.000000Z",
        "2025-01-31T08:00:00.1234567-05:30": "2025-01-31T13:30:00.123456Z",
        "2025-01-31T08:00+05:30": "2025-01-31T02:30:00.000000Z",
        "1969-12-31T23:59:59.999999Z": "1969-12-31T23:59:59.999999Z",
        "0001-01-01T00:00:00+00:01": None,
        "0001-01-01T00:01:00+00:01": "0001-01-01T00:00:00.000000Z",
        "9999-12-31T23:59:59.999999-00:01": None,
        "2025-02-29T00:00:00Z": None,
        "2025-01-31T08:00:00": "2025-01-31T08:00:00.000000Z",
        "2025-01-31T08:00:00.123456": "2025-01-31T08:00:00.123456Z",
        "2025-01-31T08:00": "2025-01-31T08:00:00.000000Z",
        "2025-01-31T08:00:00-": None,
        "2025-01-31": None,
        "2025-01-31 08:00:00Z": None,
    },
    "span": {
        "PT1H30M": 5_400_000_000,
        "-P1D": -86_400_000_000,
        "p1dt1s": 86_401_000_000,
        "PT0.0000019S": 1,
        "-PT0.0000019S": -1,
        "PT90M": 5_400_000_000,
        "P3660000D": None,
        "P9999999999999999999D": None,
        "P": None,
        "PT": None,
        "P1DT": None,
        "P1H": None,
        "PT1.5H": None,
        "P1Y": None,
        "1H": None,
    },
    "guid": {
        "01234567-89AB-cdef-0123-456789abcdef": "01234567-89ab-cdef-0123-456789abcdef",
        "0123456789abcdef0123456789abcdef": None,
        "{01234567-89ab-cdef-0123-456789abcdef}": None,
        "01234567-89ag-cdef-0123-456789abcdef": None,
    },
}
DIGITS = {
    0.0: "0",
    0.1: "0.1",
    100.0: "100",
    -2.5: "-2.5",
    1e14: "100000000000000",
    1e15: "1e+15",
    123456789012345.6: "123456789012345.6",
    1e-4: "0.0001",
    1.25e-5: "1.25e-05",
    1e22: "1e+22",
    5e-324: "5e-324",
    1.7976931348623157e308: "1.7976931348623157e+308",
    2.0**-44: "5.684341886080802e-14",
    9007199254740993.0: "9.007199254740992e+15",
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url)
    with engine.connect() as opened:
        if engine.dialect.name == "sqlite":
            add_casts(opened.connection.dbapi_connection)
            add_spans(opened.connection.dbapi_connection)
        yield opened
    engine.dispose()


def read_all(connection: Connection, kind: str, texts: list[str]) -> list[Any]:
    """What the database reads each text as."""
    listed = bindparam("texts", json.dumps(texts), type_=Text())
    value, rows = json_members(listed, connection.dialect.name, name="given")
    read = read_text_as(kind, value)
    shown = json_moment(read) if kind == "moment" else read
    return list(connection.scalars(select(shown).select_from(rows)))


@pytest.mark.parametrize("kind", FORMS)
def test_a_text_is_read_as_what_it_says(connection: Connection, kind: str) -> None:
    assert read_all(connection, kind, list(READ[kind])) == list(READ[kind].values())


@pytest.mark.parametrize("kind", FORMS)
def test_spoilt_texts_are_read_alike_everywhere(connection: Connection, kind: str) -> None:
    chance = Random(kind)
    texts = [spoil(chance, chance.choice(list(READ[kind]))) for _ in range(400)]
    expected = [read_form(kind, text) for text in texts]
    if kind == "moment":
        found = [None if read is None else True for read in read_all(connection, kind, texts)]
        assert all(
            one is None or other is not None for one, other in zip(found, expected, strict=True)
        )
    else:
        assert read_all(connection, kind, texts) == expected
    assert any(value is not None for value in expected)


def spoil(chance: Random, text: str) -> str:
    """A text with a sign or two changed, put in or left out."""
    signs = list(text)
    for _ in range(chance.randrange(3)):
        place = chance.randrange(len(signs) + 1)
        signs[place : place + chance.randrange(2)] = chance.choice(["", *"0123459-+.:TZPDeE \n"])
    return "".join(signs)


def test_a_number_is_spelt_in_as_few_digits_as_tell_it(connection: Connection) -> None:
    for number, text in DIGITS.items():
        spelt = NumberText(cast(bindparam(None, number, type_=Double(), unique=True), Double))
        assert (spell_number(number), connection.scalar(select(spelt))) == (text, text)


def test_numbers_of_any_size_are_spelt_alike(connection: Connection) -> None:
    chance = Random(5)
    numbers = [-0.0] + [
        chance.choice((-1, 1)) * chance.random() * 10.0 ** chance.randint(-300, 300)
        for _ in range(300)
    ]
    numbers += [2.0**power for power in range(-1000, 1000, 7)]
    listed = bindparam("texts", json.dumps([repr(number) for number in numbers]), type_=Text())
    value, rows = json_members(listed, connection.dialect.name, name="given")
    found = connection.scalars(select(NumberText(cast(value, Double))).select_from(rows)).all()
    assert found == [spell_number(number) for number in numbers]
