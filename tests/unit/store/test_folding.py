"""Letters of any script are found whatever their case, alike on SQLite and PostgreSQL."""

import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, Text, bindparam, create_engine, select

from app.store.folding import add_folding, fold_text, folded_like, uppers_of
from app.store.json_fields import json_members


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(database_url)
    with engine.connect() as opened:
        if engine.dialect.name == "sqlite":
            add_folding(opened.connection.dbapi_connection)
        yield opened
    engine.dispose()


def folded_in(connection: Connection, texts: list[str], word: str) -> list[str]:
    """The texts as the database folds them for this word."""
    listed = bindparam("texts", json.dumps(texts), type_=Text())
    value, rows = json_members(listed, connection.dialect.name, name="given")
    folded = folded_like(value, word, is_plain=False)
    return list(connection.scalars(select(folded).select_from(rows)))


def test_every_letter_is_among_those_that_fold_to_its_own() -> None:
    for number in range(1, 0x110000):
        letter = chr(number)
        folded = letter.lower()[0]
        if folded != letter:
            assert letter in uppers_of(folded)
    assert uppers_of("é") == ("é", "É")


@pytest.mark.parametrize("word", ["ärger", "σοφός", "ihre straße", "ёлка", "k°", "i̇stanbul"])
def test_a_word_is_found_in_any_case_of_its_letters(connection: Connection, word: str) -> None:
    spelt = [word, word.upper(), word.title(), word.swapcase(), "".join(map(last_upper, word))]
    alike = [text for text in spelt if fold_text(text) == word]
    assert len(alike) >= 2
    assert folded_in(connection, alike, word) == [word] * len(alike)


def last_upper(letter: str) -> str:
    """The rarest form of a letter, such as the sign for kelvin."""
    return uppers_of(letter)[-1]


def test_letters_that_are_not_of_the_word_cannot_become_its_own(connection: Connection) -> None:
    others = ["Zürich", "ÀÉÎ", "ς", "ÖÄ"]
    for text, folded in zip(others, folded_in(connection, others, "ö"), strict=True):
        assert ("ö" in folded) is ("ö" in (fold_text(text) or ""))
