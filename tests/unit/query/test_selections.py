"""What $select and $expand read: paths, endings and nested options; and where they say no."""

import pytest

from app.base.errors import AppError
from app.query.selections import Item, parse_expand, parse_select


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a", (Item(("a",)),)),
        (" a , b ", (Item(("a",)), Item(("b",)))),
        ("*", (Item(("*",)),)),
        ("Model.*", (Item(("Model.*",)),)),
        ("a/b", (Item(("a", "b")),)),
        ("a/Model.T/b", (Item(("a", "Model.T", "b")),)),
        ("@Core.Name", (Item(("@Core.Name",)),)),
        ("Model.f(x,y)", (Item(("Model.f",), parameters=("x", "y")),)),
        (
            "a($select=b,c;$top=5;filter=d eq ';)')",
            (Item(("a",), options=(("select", "b,c"), ("top", "5"), ("filter", "d eq ';)'"))),),
        ),
    ],
)
def test_select_is_read(text: str, items: tuple[Item, ...]) -> None:
    assert parse_select(text) == items


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("a", (Item(("a",)),)),
        ("a/$ref", (Item(("a",), "$ref"),)),
        ("a/b/$count($filter=c)", (Item(("a", "b"), "$count", (("filter", "c"),)),)),
        ("*", (Item(("*",)),)),
        ("*($LEVELS=max)", (Item(("*",), options=(("levels", "max"),)),)),
        ("a/*/$ref", (Item(("a", "*"), "$ref"),)),
        ("$value", (Item(("$value",)),)),
        (
            "a($expand=b($top=1);@c=15)",
            (Item(("a",), "", (("expand", "b($top=1)"), ("@c", "15"))),),
        ),
        ("a($compute=x mul 2 as y)", (Item(("a",), "", (("compute", "x mul 2 as y"),)),)),
        (
            r'a($search="b\");c\\";$top=1),d',
            (Item(("a",), "", (("search", r'"b\");c\\"'), ("top", "1"))), Item(("d",))),
        ),
    ],
)
def test_expand_is_read(text: str, items: tuple[Item, ...]) -> None:
    assert parse_expand(text) == items


def test_nested_options_are_found_by_name() -> None:
    (item,) = parse_expand("a($top=5;$orderby=b desc)")
    assert item.option("orderby") == "b desc"
    assert item.option("filter") is None


@pytest.mark.parametrize(
    "text",
    ["", "a,", ",a", "a b", "a(", "a)", "a()", "a(x y)", "a($top=x)", "a($levels=1)", "a($top=1)b",
     "a($top=1;$top=2)", "5", "a//b", "*(a=1)", "a/*/b", "a($filter=b eq)"],
)  # fmt: skip
def test_select_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(AppError) as caught:
        parse_select(text)
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "text",
    ["", "a,", "a/$ref($select=b)", "a/$count($top=1)", "a($levels=04)", "a($levels=0)", "a/$value",
     "$value($top=1)", "*($top=1)", "*/$count($filter=a)", "a($count=maybe)", "a($format=json)",
     "a($select=)", "a($search=gr(een)", "a($expand=b(c))", "a(" * 200,
     "a($expand=" * 900 + "b" + ")" * 900],
)  # fmt: skip
def test_expand_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(AppError) as caught:
        parse_expand(text)
    assert caught.value.status == 400
