"""Addresses are spelled the same by both databases and by Python, and lead back to the text."""

from urllib.parse import unquote

import pytest
from sqlalchemy import Text, bindparam, null, select

from app.store.addresses import UrlLiteral, url_literal
from app.store.engine import Store, snapshot

TEXTS = ["", "m1", "a-b_c.d~e", "s:1''", "50%27", "ü&x=1", "😀", "\n", "a/b\\c", "'"]


@pytest.mark.parametrize("text", [*TEXTS, "".join(map(chr, range(1, 0x180)))])
def test_a_text_is_spelled_the_same_everywhere(store: Store, text: str) -> None:
    value = bindparam(None, text, type_=Text(), unique=True)
    with snapshot(store) as connection:
        found = connection.scalar(select(UrlLiteral(value))) or ""
    assert found == url_literal(text)
    assert found.isascii()
    assert not set(":/?#[]@!$&()*+,;= ") & set(found)
    assert unquote(found[1:-1]).replace("''", "'") == text


def test_no_text_has_no_address(store: Store) -> None:
    with snapshot(store) as connection:
        assert connection.scalar(select(UrlLiteral(null()))) is None
