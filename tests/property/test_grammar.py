"""Our parser against odata-query's own, on the expressions that both know; and against noise."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from app.base.errors import AppError
from app.query.grammar import parse_expression
from app.query.nodes import Chain

NAMES = st.sampled_from(["a", "b", "score", "is_overdue", "module/name", "x/y/z"])
LITERALS = st.one_of(
    st.integers(-(10**6), 10**6).map(str),
    st.sampled_from(["0.5", "-2.25", "1.5e3", "null", "true", "false"]),
    st.text("abc '%_é", max_size=6).map(lambda text: "'" + text.replace("'", "''") + "'"),
    st.sampled_from(["2024-02-29", "2024-02-29T10:00:00Z", "10:00:00"]),
)
COMPARISONS = ("eq", "ne", "gt", "ge", "lt", "le")
SUMS = ("add", "sub", "mul", "div", "mod")


def combine(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Expressions one level deeper than these."""
    binary = st.tuples(inner, st.sampled_from((*COMPARISONS, *SUMS, "and", "or")), inner)
    return st.one_of(
        binary.map(" ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"not {text}"),
        inner.map(lambda text: f"- {text}"),
        inner.map(lambda text: f"length({text})"),
        st.tuples(inner, inner).map(lambda pair: f"contains({pair[0]},{pair[1]})"),
        st.tuples(NAMES, st.lists(LITERALS, min_size=2, max_size=4)).map(
            lambda pair: f"{pair[0]} in ({', '.join(pair[1])})"
        ),
    )


EXPRESSIONS = st.recursive(st.one_of(NAMES, LITERALS), combine, max_leaves=12)


def as_pairs(node: Any) -> Any:
    """A tree with each chain as nested pairs, the way odata-query has it."""
    if isinstance(node, Chain):
        operator = ast.And() if node.operator == "and" else ast.Or()
        left = as_pairs(node.terms[0])
        for term in node.terms[1:]:
            left = ast.BoolOp(operator, left, as_pairs(term))
        return left
    if isinstance(node, list):
        return [as_pairs(part) for part in node]
    if hasattr(node, "__dataclass_fields__"):
        parts = {name: as_pairs(getattr(node, name)) for name in node.__dataclass_fields__}
        return type(node)(**parts)
    return node


@settings(max_examples=300, deadline=None)
@given(EXPRESSIONS)
def test_both_parsers_read_the_same_tree(text: str) -> None:
    theirs = ODataParser().parse(ODataLexer().tokenize(text))
    assert as_pairs(parse_expression(text)) == theirs


FRAGMENTS = [
    "a", "eq", "and", "not", "in", "(", ")", ",", "/", ":", "=", "'", "''", "'x'", "5", "-", ".",
    "2024-01-01", "@p", "$it", "any(", "null", " ", "\t", "[", "{", '"', "é", "\x00", "💥", "E9",
    "T10:00", "duration'P1D'", "desc", "\ud800",
]  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_noise_is_read_or_refused_with_a_place(fragments: list[str]) -> None:
    refusal = refusal_of("".join(fragments))
    if refusal is not None:
        assert refusal.status in {400, 501}
        assert "at position" in refusal.detail
        assert len(refusal.detail) < 200


def refusal_of(text: str) -> AppError | None:
    """How a text is refused, or None when it is read."""
    try:
        parse_expression(text)
    except AppError as error:
        return error
    return None
