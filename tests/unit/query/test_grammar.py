"""The expression grammar: what it reads, in which order operators bind, and where it says no."""

import pytest
from odata_query import ast

from app.base.errors import AppError, BadSyntax, TooComplex
from app.query.grammar import parse_compute, parse_expression, parse_orderby
from app.query.nodes import (
    Alias,
    Annotation,
    Case,
    Chain,
    Count,
    DivBy,
    EnumText,
    Filtered,
    Has,
    Invoked,
    JsonObject,
    Node,
)

A: Node
B: Node
C: Node
A, B, C = (ast.Identifier(name) for name in "abc")
ONE, TWO = ast.Integer("1"), ast.Integer("2")


def compare(operator: Node, left: Node, right: Node) -> Node:
    return ast.Compare(operator, left, right)


def reckon(operator: Node, left: Node, right: Node) -> Node:
    return ast.BinOp(operator, left, right)


def equal(left: Node, right: Node) -> Node:
    return ast.Compare(ast.Eq(), left, right)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("'it''s'", ast.String("it's")),
        ("''", ast.String("")),
        ("'%_\\'", ast.String("%_\\")),
        ("-5", ast.Integer("-5")),
        ("+5", ast.Integer("+5")),
        ("3.14", ast.Float("3.14")),
        ("1E-3", ast.Float("1E-3")),
        ("INF", ast.Float("INF")),
        ("-INF", ast.Float("-INF")),
        ("NaN", ast.Float("NaN")),
        ("TRUE", ast.Boolean("TRUE")),
        ("null", ast.Null()),
        ("2024-02-29", ast.Date("2024-02-29")),
        ("2024-02-29T10:00Z", ast.DateTime("2024-02-29T10:00Z")),
        ("2024-02-29T10:00:00.5+02:00", ast.DateTime("2024-02-29T10:00:00.5+02:00")),
        ("10:30", ast.Time("10:30")),
        ("10:30:00.25", ast.Time("10:30:00.25")),
        ("duration'-P1DT2H'", ast.Duration("-P1DT2H")),
        (
            "01234567-89ab-cdef-0123-456789abcdef",
            ast.GUID("01234567-89ab-cdef-0123-456789abcdef"),
        ),
        ("fullcount.Status'completed'", EnumText("fullcount.Status", "completed")),
        ("@p", Alias("p")),
        ("$it/a", ast.Attribute(ast.Identifier("$it"), "a")),
        ("a/b/c", ast.Attribute(ast.Attribute(A, "b"), "c")),
        ("a/$count", Count(A)),
        ("a/$count($filter=b;$search=x (y) 'z)')", Count(A, B, "x (y) 'z)'")),
        (r'a/$count($search="\")")', Count(A, None, r'"\")"')),
        ("a/$filter(b)/$count", Count(Filtered(A, B))),
        ("a/b(1)", Invoked(A, "b", (ONE,))),
        ("a/$filter(b)(1)", Invoked(Filtered(A, B), "", (ONE,))),
        ("a/@Core.Name#short", Annotation(A, "Core.Name#short")),
        ("@Core.Name", Annotation(None, "Core.Name")),
        ("binary'AA'", EnumText("binary", "AA")),
        ("['x',\"y\\n\",a]", ast.List([ast.String("x"), ast.String("y\n"), A])),
        ("[]", ast.List([])),
        ("{}", JsonObject(())),
        ('{"x":1,"y":[a]}', JsonObject((("x", ONE), ("y", ast.List([A]))))),
        ("$root/a", ast.Attribute(ast.Identifier("$root"), "a")),
        ("$all/a", ast.Attribute(ast.Identifier("$all"), "a")),
        ("a in (b)", ast.Compare(ast.In(), A, B)),
    ],
)
def test_values_are_read(text: str, node: Node) -> None:
    assert parse_expression(text) == node


@pytest.mark.parametrize("name", ["allowed", "anything", "nullable", "trueish", "falsey", "INFO"])
def test_names_that_begin_like_a_constant_are_names(name: str) -> None:
    assert parse_expression(f"{name} eq 1") == equal(ast.Identifier(name), ONE)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("a eq 1", equal(A, ONE)),
        ("a EQ 1", equal(A, ONE)),
        ("\ta\teq\n1 ", equal(A, ONE)),
        ("(a)eq(1)", equal(A, ONE)),
        ("a has b", compare(Has(), A, B)),
        ("a divby 2", reckon(DivBy(), A, TWO)),
        ("a in ()", ast.Compare(ast.In(), A, ast.List([]))),
        ("a in (1)", ast.Compare(ast.In(), A, ast.List([ONE]))),
        ("a in ( 1 , 2 )", ast.Compare(ast.In(), A, ast.List([ONE, TWO]))),
        ("a in @p", compare(ast.In(), A, Alias("p"))),
        ("(1,2)", ast.List([ONE, TWO])),
        ("a or b and c", Chain("or", (A, Chain("and", (B, C))))),
        ("a and b or c", Chain("or", (Chain("and", (A, B)), C))),
        ("a or b or c", Chain("or", (A, B, C))),
        ("not a eq b", equal(ast.UnaryOp(ast.Not(), A), B)),
        ("not(a)", ast.UnaryOp(ast.Not(), A)),
        ("not a in (1)", ast.UnaryOp(ast.Not(), parse_expression("a in (1)"))),
        ("-a add 1", ast.BinOp(ast.Add(), ast.UnaryOp(ast.USub(), A), ONE)),
        ("a sub -1", ast.BinOp(ast.Sub(), A, ast.Integer("-1"))),
        ("a sub 1 sub 2", ast.BinOp(ast.Sub(), ast.BinOp(ast.Sub(), A, ONE), TWO)),
        ("a add b mul 2", ast.BinOp(ast.Add(), A, ast.BinOp(ast.Mult(), B, TWO))),
        ("a gt 1 eq b", equal(ast.Compare(ast.Gt(), A, ONE), B)),
        ("Contains(a,'x')", ast.Call(ast.Identifier("Contains"), [A, ast.String("x")])),
        ("now()", ast.Call(ast.Identifier("now"), [])),
        ("f(x=1)", ast.Call(ast.Identifier("f"), [ast.NamedParam(ast.Identifier("x"), ONE)])),
        ("case(a:1,true:2)", Case(((A, ONE), (ast.Boolean("true"), TWO)))),
        ("a/any()", ast.CollectionLambda(A, ast.Any(), None)),
        (
            "a/all(x:x/b eq 1)",
            ast.CollectionLambda(
                A,
                ast.All(),
                ast.Lambda(
                    ast.Identifier("x"), equal(ast.Attribute(ast.Identifier("x"), "b"), ONE)
                ),
            ),
        ),
    ],
)
def test_operators_and_calls_bind_as_the_standard_says(text: str, node: Node) -> None:
    assert parse_expression(text) == node


@pytest.mark.parametrize(
    ("text", "right", "result"),
    [
        ("50:10", ast.Integer("50"), ast.Integer("10")),
        ("10:15", ast.Integer("10"), ast.Integer("15")),
        ("10:15:1", ast.Time("10:15"), ONE),
        ("10:15:01", ast.Time("10:15"), ast.Integer("01")),
        ("10:15:2.5", ast.Time("10:15"), ast.Float("2.5")),
        ("10:15:30.5", ast.Time("10:15"), ast.Float("30.5")),
        ("10:15:30:1", ast.Time("10:15:30"), ONE),
        ("10:15:301", ast.Time("10:15"), ast.Integer("301")),
        ("50:10:15", ast.Integer("50"), ast.Time("10:15")),
        ("10 :15:30", ast.Integer("10"), ast.Time("15:30")),
        ("-10:15", ast.Integer("-10"), ast.Integer("15")),
        ("1:10:15", ONE, ast.Time("10:15")),
        ("2025-05-24:1", ast.Date("2025-05-24"), ONE),
        ("2025-05-24T10:15Z:10", ast.DateTime("2025-05-24T10:15Z"), ast.Integer("10")),
        ("2025-05-24T10:15+02:00:1", ast.DateTime("2025-05-24T10:15+02:00"), ONE),
    ],
)
def test_a_branch_of_case_has_its_colon(text: str, right: Node, result: Node) -> None:
    """URL Conventions 5.1.1.11.1: no blanks are needed around it."""
    branch = (equal(A, right), result)
    assert parse_expression(f"case(a eq {text})") == Case((branch,))
    assert parse_expression(f"CASE(a eq {text},a eq {text})") == Case((branch, branch))
    nested = parse_expression(f"case(f(10:15) eq case(a eq {text}):10:15)")
    clock = ast.Time("10:15")
    called = ast.Call(ast.Identifier("f"), [clock])
    assert nested == Case(((equal(called, Case((branch,))), clock),))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "at position 1: expected a value, found the end"),
        ("name eq", "at position 8: expected a value after 'eq', found the end"),
        ("name eq )", "at position 9: expected a value after 'eq', found ')'"),
        ("name ist 5", "at position 6: expected an operator or the end after 'name', found 'ist'"),
        ("name eq 'abc", "at position 9: a text without its closing quote"),
        ("name eq 5x", "at position 9: this is no number"),
        ("name eq 5 ; drop", "at position 11: expected an operator or the end after '5'"),
        ("name eq 5 ! drop", "at position 11: unexpected character '!'"),
        ("name in (a,1)", "at position 10: the list after 'in' holds values, not 'a'"),
        ('name eq "x"', "at position 9: a text stands in single quotes"),
        ('name eq ["x', "at position 10: a text without its closing quote"),
        ('a eq {"x":1,}', "at position 13: expected a name in double quotes"),
        ("a eq {x:1}", "at position 7: expected a name in double quotes"),
        ("a eq [1", "at position 8: expected ',' or ']'"),
        ('a eq ["\\x"]', "at position 7: this is no text of JSON"),
        ("Model.Available", "at position 16: expected '/' or '('"),
        ("$root eq 1", "at position 7: expected '/'"),
        ("a/$count($top=1) gt 1", "at position 10: expected '$filter' or '$search'"),
        ("a/$count($filter=b;$filter=b) gt 1", "at position 20: $filter is given twice"),
        ("a/$value eq 1", "at position 3: expected a name"),
        ("(name eq 5", "at position 11: expected ')'"),
        ("name eq 2024-13-01", "at position 9: this is not a date"),
        ("at gt 2024-01-01T25:00:00Z", "at position 7: this is not a date-time"),
        ("name in (1 2)", "at position 12: expected ',' or ')'"),
        ("any(x:x eq 1)", "at position 4: expected a collection before 'any'"),
        ("a/all()", "at position 7: expected the name of a variable"),
        ("a gt \uff11", "at position 6: this is no number, found '\uff11'"),
        ("a gt 1\uff12", "at position 6: this is no number, found '1\uff12'"),
        ("a gt 20\uff125-01-01", "at position 6: this is no number"),
        ("a eq (1,2)", "at position 6: a list may stand only after 'in'"),
        ("a and", "at position 6: expected a value after 'and'"),
        ("duration'1 day'", "at position 1: this is not a duration"),
        ("a eq 50:10", "at position 6: this is not a time of day, found '50:10'"),
        ("a eq 10:15:1", "at position 11: expected an operator or the end after '10:15'"),
        ("case(f(10:15):1,a)", "at position 18: expected ':' after 'a', found ')'"),
    ],
)
def test_an_error_says_where_and_what_was_expected(text: str, words: str) -> None:
    with pytest.raises(BadSyntax) as caught:
        parse_expression(text)
    assert caught.value.detail.startswith(words)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 3000 + "a" + ")" * 3000,
        "(" * 3000,
        "not " * 1000 + "a",
        "-" * 1000 + "a",
        "- " * 1000 + "a",
        "f(" * 2000,
        "a/any(x:" * 500,
        "a in (" * 2000,
        "case(" * 2000,
        "case(" + "1" * 8000 + "x",
        "1 or 1 and 1 eq 1 gt 1 add 1 mul (" * 500,
        "a eq " * 2000,
        "'" * 8001,
        "a/" * 4000,
        "a eq " + "[" * 3000,
        "a eq " + '{"x":' * 1500,
        "a/$filter(" * 800,
        "a/$count($filter=" * 500,
        "@" * 100,
        "a or " * 1600,
    ],
)
def test_hostile_texts_are_refused_and_break_nothing(text: str) -> None:
    for depth in (100, 10_000):
        with pytest.raises(AppError) as caught:
            parse_expression(text, depth)
        assert caught.value.status == 400
        assert len(caught.value.detail) < 200


def test_a_thousand_terms_are_one_flat_chain() -> None:
    node = parse_expression(" or ".join(f"a eq {i}" for i in range(1000)))
    assert isinstance(node, Chain)
    assert len(node.terms) == 1000


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse_expression("(" * 99 + "a" + ")" * 99, 100) == A
    with pytest.raises(TooComplex, match="filter_depth, 100"):
        parse_expression("(" * 100 + "a" + ")" * 100, 100)


def test_orderby_is_read_in_order() -> None:
    assert parse_orderby("a") == ((A, False),)
    assert parse_orderby("a desc, b asc ,c DESC") == ((A, True), (B, False), (C, True))
    assert parse_orderby("length(a) desc")[0][1] is True
    assert parse_orderby("desc desc") == ((ast.Identifier("desc"), True),)


@pytest.mark.parametrize("text", ["", "a,", "a descending", "a desc desc", ",a", "a b"])
def test_orderby_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(BadSyntax, match="at position"):
        parse_orderby(text)


def test_compute_is_read_with_the_names_of_its_columns() -> None:
    assert parse_compute("a as x") == ((A, "x"),)
    total = reckon(ast.Mult(), A, B)
    assert parse_compute("a mul b as total , f(a,b) AS as") == (
        (total, "total"),
        (ast.Call(ast.Identifier("f"), [A, B]), "as"),
    )


@pytest.mark.parametrize("text", ["", "a", "a as", "a as x.y", "a as x,", "a as 5", "a b as x"])
def test_compute_refuses_what_it_cannot_read(text: str) -> None:
    with pytest.raises(BadSyntax, match="at position"):
        parse_compute(text)
