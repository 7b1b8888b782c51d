"""Filters bound to a catalog: names, types, limits, and what a caller may not see."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from app.base.config import Settings
from app.base.errors import (
    AppError,
    BadOption,
    BadSyntax,
    NotSupported,
    TooComplex,
    TypeMismatch,
    UnknownField,
)
from app.catalog.fields import Dataset, Enumeration, Field, Navigation, Type
from app.catalog.index import DATASETS, dataset_named
from app.query.expr import (
    Among,
    Arithmetic,
    AsOf,
    Both,
    Call,
    Column,
    Compare,
    Expr,
    Literal,
    Negate,
    Not,
)
from app.query.filters import bind_filter, bind_order, bind_value

MOOD = Enumeration("Mood", ("calm", "keen", "sleepy"))
CATS = Dataset(
    "Cats",
    "Cat",
    "Cats",
    "A sample model of its own.",
    ("cat_id",),
    (
        Field("cat_id", Type.INT, "Id", "Key.", nullable=False),
        Field("name", Type.TEXT, "Name", "Name."),
        Field("weight", Type.NUMBER, "Weight", "Kilograms."),
        Field("lives", Type.INT, "Lives", "Left."),
        Field("tame", Type.BOOL, "Tame", "Tame."),
        Field("born_at", Type.TIME, "Born at", "Birth."),
        Field("seen_on", Type.DATE, "Seen on", "Day."),
        Field("mood", Type.ENUM, "Mood", "Mood.", enumeration=MOOD),
        Field("chip", Type.TEXT, "Chip", "Secret.", scope="pii"),
        Field("extra", Type.OPEN, "Extra", "Open."),
        Field("tags", Type.TEXTS, "Tags", "Tags."),
        Field("allowed", Type.BOOL, "Allowed", "Begins like all."),
    ),
    navigations=(
        Navigation("mother", "Cats", (("cat_id", "cat_id"),), "Up."),
        Navigation("vet", "Vets", (("cat_id", "vet_id"),), "Vet."),
        Navigation("kittens", "Cats", (("cat_id", "cat_id"),), "Down.", many=True),
    ),
)
VETS = Dataset(
    "Vets",
    "Vet",
    "Vets",
    "Seen with operate only.",
    ("vet_id",),
    (Field("vet_id", Type.INT, "Id", "Key."),),
    scope="operate",
)
SAMPLE = {"Cats": CATS, "Vets": VETS}


def bind(text: str, scopes: str = "read", aliases: Mapping[str, str] | None = None) -> Expr:
    return bind_filter(text, CATS, **surroundings(scopes, aliases))


def value(text: str) -> Expr:
    return bind_value(text, CATS, **surroundings("read", None))


def surroundings(scopes: str, aliases: Mapping[str, str] | None, **limits: Any) -> dict[str, Any]:
    return {
        "settings": Settings(_env_file=None, **limits),
        "scopes": frozenset(scopes.split()),
        "aliases": aliases or {},
        "resolve": SAMPLE.__getitem__,
    }


def column(name: str, *path: str) -> Column:
    field = CATS.field(name)
    assert field is not None
    return Column(field.type, path, field)


def text_of(value: str) -> Literal:
    return Literal(Type.TEXT, value)


def compare(operator: str, left: Expr, right: Expr) -> Compare:
    return Compare(Type.BOOL, operator, left, right)


ONE = Literal(Type.INT, 1)
FALSE, TRUE = Literal(Type.BOOL, False), Literal(Type.BOOL, True)
NULL = Literal(Type.NULL, None)
NOON = datetime(2024, 2, 29, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("name eq 'x'", compare("eq", column("name"), text_of("x"))),
        ("weight gt 1", compare("gt", column("weight"), ONE)),
        ("lives le 1.5", compare("le", column("lives"), ONE)),
        ("weight le 1.5", compare("le", column("weight"), Literal(Type.NUMBER, 1.5))),
        ("weight lt -INF", compare("lt", column("weight"), Literal(Type.NUMBER, float("-inf")))),
        (
            "born_at ge 2024-02-29T14:00+02:00",
            compare("ge", column("born_at"), Literal(Type.TIME, NOON)),
        ),
        (
            "seen_on eq 2024-02-29",
            compare("eq", column("seen_on"), Literal(Type.DATE, date(2024, 2, 29))),
        ),
        (
            "date(born_at) eq seen_on",
            compare("eq", Call(Type.DATE, "date", (column("born_at"),)), column("seen_on")),
        ),
        ("born_at lt now()", compare("lt", column("born_at"), AsOf(Type.TIME))),
        ("born_at lt @as_of", compare("lt", column("born_at"), AsOf(Type.TIME))),
        ("tame", column("tame")),
        ("allowed eq true", compare("eq", column("allowed"), TRUE)),
        ("not tame", Not(Type.BOOL, column("tame"))),
        ("mother/mother/name ne null", compare("ne", column("name", "mother", "mother"), NULL)),
        ("$it/name eq 'x'", compare("eq", column("name"), text_of("x"))),
        ("extra eq null", compare("eq", column("extra"), NULL)),
        ("lives in (1,null)", Among(Type.BOOL, column("lives"), (ONE, NULL))),
        ("lives in ()", FALSE),
        ("lives in (-1)", Among(Type.BOOL, column("lives"), (Literal(Type.INT, -1),))),
        ("weight in (NaN,1)", Among(Type.BOOL, column("weight"), (ONE,))),
        ("CONTAINS(name,'x')", Call(Type.BOOL, "contains", (column("name"), text_of("x")))),
        ("contains(name,null)", FALSE),
        ("name gt null", FALSE),
        ("weight eq NaN", FALSE),
        ("weight ne NaN", TRUE),
        ("tame or tame or tame", Both(Type.BOOL, "or", (column("tame"),) * 3)),
        ("null", FALSE),
    ],
)
def test_a_filter_is_bound_to_its_fields(text: str, expr: Expr) -> None:
    assert bind(text) == expr


@pytest.mark.parametrize(
    "text",
    [
        "mood eq 'keen'",
        "'keen' eq mood",
        "mood eq fullcount.Mood'keen'",
        "mood eq Mood'keen'",
        "mood has fullcount.Mood'keen'",
    ],
)
def test_words_of_a_closed_list_are_written_with_or_without_their_type(text: str) -> None:
    bound = bind(text)
    assert isinstance(bound, Compare)
    assert {bound.left, bound.right} == {column("mood"), Literal(Type.ENUM, "keen")}


@pytest.mark.parametrize(
    ("text", "expr"),
    [
        ("lives div 1", Arithmetic(Type.INT, "div", column("lives"), ONE)),
        ("lives divby 1", Arithmetic(Type.NUMBER, "divby", column("lives"), ONE)),
        ("lives mod weight", Arithmetic(Type.NUMBER, "mod", column("lives"), column("weight"))),
        ("lives add null", NULL),
        ("-lives", Negate(Type.INT, column("lives"))),
        ("-(1)", Literal(Type.INT, -1)),
        ("length(name)", Call(Type.INT, "length", (column("name"),))),
        ("round(lives)", Call(Type.NUMBER, "round", (column("lives"),))),
        ("substring(name,1)", Call(Type.TEXT, "substring", (column("name"), ONE))),
        ("mindatetime()", Literal(Type.TIME, datetime.min.replace(tzinfo=UTC))),
        ("9223372036854775807", Literal(Type.INT, 2**63 - 1)),
        ("-9223372036854775808", Literal(Type.INT, -(2**63))),
        ("000000000000000000000001", ONE),
    ],
)
def test_values_have_the_type_of_the_standard(text: str, expr: Expr) -> None:
    assert value(text) == expr


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("weight eq 'abc'", "weight is a number and 'abc' is a text"),
        ("name eq 5", "name is a text and 5 is a whole number"),
        ("born_at ge '2024-01-01'", "born_at is a date-time and '2024-01-01' is a text"),
        ("born_at ge 2024-01-01", "born_at is a date-time and 2024-01-01 is a date"),
        ("born_at ge 2024-01-01T00:00:00", "has no offset"),
        ("born_at ge 2023-02-29T00:00:00Z", "there is no moment"),
        ("born_at ge 0001-01-01T00:00:00+14:00", "there is no moment"),
        ("seen_on eq 2023-02-29", "there is no day"),
        ("seen_on eq 12024-02-29", "there is no day"),
        ("year(name) eq 2024", "name is a text; year takes a date-time or a date as value 1"),
        ("contains(name)", "contains takes 2 values, not 1"),
        ("substring(name)", "substring takes 2 to 3 values, not 1"),
        ("now(1) eq born_at", "now takes 0 values, not 1"),
        ("lives", "a filter takes a condition, but lives is a whole number"),
        ("5", "a filter takes a condition, but 5 is a whole number"),
        ("tame and name", "'and' takes a condition, but name is a text"),
        ("not name", "'not' takes a condition"),
        ("mood eq 'angry'", "mood is never 'angry'; it is one of calm, keen, sleepy"),
        ("mood in ('keen','angry')", "mood is never 'angry'"),
        ("mood eq fullcount.Colour'keen'", "mood is of fullcount.Mood, not of 'fullcount.Colour'"),
        ("mood eq foo.Mood'keen'", "mood is of fullcount.Mood, not of 'foo.Mood'"),
        ("mood in (foo.Mood'keen')", "mood is of fullcount.Mood, not of 'foo.Mood'"),
        ("mood has full.count.Mood'keen'", "mood is of fullcount.Mood"),
        ("mood gt 'calm'", "which has no order"),
        ("name eq fullcount.Mood'keen'", "stands beside no field"),
        ("fullcount.Mood'keen' eq fullcount.Mood'keen'", "stands beside no field"),
        ("name has 'x'", "'has' takes a word"),
        ("lives in ('a')", "lives is a whole number and 'a' is a text"),
        ("name in (mother/name)", "name of Cats is one value, not a list"),
        ("name in [lives add 1]", "name is a text and the expression is a whole number"),
        ("lives add name gt 1", "name is a text; 'add' takes numbers"),
        ("weight add 0 in (33.3,0.1)", "the condition is true or false; 'add' takes numbers"),
        ("weight add true gt 1", "true is true or false; 'add' takes numbers"),
        ("lives eq 'it''s'", "lives is a whole number and 'it''s' is a text"),
        ("lives eq 10:30", "lives is a whole number and 10:30:00.000000 is a time of day"),
        ("name eq -INF", "name is a text and -INF is a number"),
        ("-name eq 1", "a minus takes a number"),
        ("weight add NaN gt 1", "NaN can only be compared"),
        ("lives eq " + "9" * 6000, "too large"),
        ("weight eq 1e999", "too large"),
        ("case(tame:INF) gt 1", "INF can only be compared"),
        ("fullcount.Mood'keen' eq null", "stands beside no field"),
        ("guid'01234567-89ab-cdef-0123-456789abcdef' in (null)", "stands beside no field"),
        ("substring(name,1,-1) eq 'a'", "substring cannot take -1 characters"),
        ("hour(2024-02-29T12:00:00+02:00) eq 10", "is in another zone"),
        ("day(@moment) eq 1", "is in another zone"),
        ("name in 'a'", "'in' takes a list"),
        ("duration'PT1H' mod 2 eq 1", "duration'PT3600S' is a duration"),
        ("seen_on eq 2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z is a date-time"),
        ("name eq 01234567-89ab-cdef-0123-456789abcdef", "GUID"),
    ],
)
def test_types_that_do_not_fit_are_told_in_words(text: str, words: str) -> None:
    with pytest.raises(TypeMismatch) as caught:
        bind(text, aliases={"@moment": "2024-02-29T12:00:00-01:00"})
    assert words in caught.value.detail
    assert len(caught.value.detail) < 250


def test_expressions_in_a_list_count_as_parts() -> None:
    many = ",".join(["lives add 1"] * 400)
    with pytest.raises(TooComplex):
        bind(f"lives in [{many}]")
    assert bind("lives in [lives add 1]").type is Type.BOOL


def test_a_condition_as_a_number_gets_a_hint() -> None:
    with pytest.raises(TypeMismatch) as caught:
        bind("weight add 0 in (33.3,0.1)")
    assert caught.value.hint is not None
    assert "'in' and 'has' bind tighter" in caught.value.hint


def test_dates_in_quotes_get_a_hint() -> None:
    with pytest.raises(TypeMismatch) as caught:
        bind("born_at ge '2024-01-01'")
    assert caught.value.hint is not None
    assert "without quotes" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("nmae eq 'x'", "Did you mean 'name'?"),
        ("NAME eq 'x'", "Did you mean 'name'?"),
        ("mother/wieght gt 1", "Did you mean 'weight'?"),
        ("mohter/name eq 'x'", "Did you mean 'mother'?"),
        ("name/length eq 1", None),
        ("__class__ eq 1", None),
        ("fields/name eq 1", None),
    ],
)
def test_names_come_from_the_catalog_only(text: str, hint: str | None) -> None:
    with pytest.raises(UnknownField) as caught:
        bind(text)
    assert caught.value.hint == hint


@pytest.mark.parametrize(
    "text", ["chip eq 'x'", "mother/chip eq 'x'", "chip/x eq 1", "vet/vet_id eq 1"]
)
def test_what_a_caller_may_not_see_does_not_exist(text: str) -> None:
    with pytest.raises(UnknownField) as caught:
        bind(text)
    assert "chip" not in str(caught.value.hint)


def test_a_scope_opens_its_fields() -> None:
    assert bind("chip eq 'x'", scopes="read pii") == compare("eq", column("chip"), text_of("x"))
    assert bind("vet/vet_id eq 1", scopes="read operate").type is Type.BOOL


@pytest.mark.parametrize(
    "text",
    [
        "mother eq 5",
        "extra eq 'x'",
        "extra/colour eq 'x'",
        "tags in ('x')",
        "matchesPattern(name,'.*')",
        "MATCHESPATTERN(name,'.*')",
        "hassubset(tags,['x'])",
        "length(tags) eq 1",
        "contains(tags,'x')",
        "tags eq ['x']",
        "hassubsequence(['x'],tags)",
        "geo.distance(name,name) eq 1",
        "geo.length(geography'SRID=0;LineString(1 1,2 2)') gt 1",
        "geo.intersects(name,name)",
        "binary'AA' eq name",
        "cast(tame,Edm.Int32) eq 1",
        "cast(name,Edm.Binary) eq null",
        "cast(name,Edm.GeographyPoint) eq name",
        "cast(tags,Collection(Edm.String)) eq null",
        "cast(fullcount.Cat)/name eq 'x'",
        "isof(name,Edm.GeographyPoint)",
        "cast(name,fullcount.Cat) eq null",
        "mother/Model.Lion/name eq 'x'",
        "Model.Lion/name eq 1",
        "Model.find(name) eq 1",
        "Model.find(word='x')",
        "$this eq 1",
        "$it eq 1",
        "endswith($it,'x')",
        "$all/name eq 'x'",
        "mother/find(1) eq 1",
        "kittens/$filter(tame)(1)/name eq 'x'",
        "kittens/$filter(tame) eq 1",
        "kittens eq null",
        "mother/@Core.Name eq 'x'",
        "@Core.Name eq 'x'",
        'mother eq {"cat_id":1}',
        '["a","b"] in [["a","b"]]',
        "kittens/any(k:k eq 1)",
        "name in kittens",
    ],
)
def test_what_is_not_offered_is_said_to_be_so(text: str) -> None:
    with pytest.raises(NotSupported) as caught:
        bind(text)
    assert caught.value.status == 501


@pytest.mark.parametrize(
    "text",
    [
        "isof(fullcount.Dog)",
        "isof(foo.Cat)",
        "isof(name,fullcount.Dog)",
        "isof(name,Edm.Text)",
        "isof(mood,foo.Mood)",
        "cast(name,fullcount.Dog) eq null",
        "cast(name,Edm.Text) eq null",
        "cast(null,Text) eq null",
        "isof(fullcount.JournalEvent)",
    ],
)
def test_an_unknown_type_is_named(text: str) -> None:
    with pytest.raises(BadSyntax) as caught:
        bind(text)
    name = text.partition(")")[0].rpartition(",")[2].rpartition("(")[2]
    assert caught.value.detail == f"there is no type {name!r}"


def test_types_are_those_that_a_caller_may_see() -> None:
    assert bind("isof(fullcount.Cat)") == TRUE
    assert bind("isof(Learner)") == FALSE
    assert bind("isof(fullcount.JournalEvent)", scopes="read operate") == FALSE
    with pytest.raises(BadSyntax) as caught:
        bind("isof(name,Edm.Strin)")
    assert caught.value.hint == "Did you mean 'Edm.String'?"


def test_an_unknown_function_gets_a_suggestion() -> None:
    with pytest.raises(BadSyntax) as caught:
        bind("contain(name,'x')")
    assert caught.value.hint == "Did you mean 'contains'?"


def test_aliases_stand_for_their_values() -> None:
    aliases = {"p": "'x'", "@list": "(1,2)", "one": "1"}
    assert bind("name eq @p", aliases=aliases) == bind("name eq 'x'")
    assert bind("lives in @list", aliases=aliases) == bind("lives in (1,2)")
    assert bind("lives in (@one,2)", aliases=aliases) == bind("lives in (1,2)")
    assert bind("name eq @missing", aliases=aliases) == bind("name eq null")


def test_an_alias_may_not_name_another() -> None:
    with pytest.raises(BadOption):
        bind("lives eq @a", aliases={"a": "@b", "b": "@a"})


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("name eq '" + "é" * 4100 + "'", "filter_bytes"),
        (" or ".join(["tame"] * 1001), "filter_nodes"),
        ("(" * 120 + "tame" + ")" * 120, "filter_depth"),
        ("lives" + " add 1" * 120 + " gt 1", "filter_depth"),
        ("mother/" * 4 + "name eq 'x'", "expand_depth"),
        ("not " * 1000 + "tame", "filter_depth"),
    ],
)
def test_a_limit_is_named_when_it_is_reached(text: str, limit: str) -> None:
    with pytest.raises(TooComplex, match=limit):
        bind(text)


def test_members_of_a_list_have_a_limit_of_their_own() -> None:
    many = f"lives in ({','.join(['1'] * 1500)})"
    assert isinstance(bind(many), Among)
    with pytest.raises(TooComplex, match="in_members is 1000"):
        bind_filter(many, CATS, **surroundings("read", None, limit_in_members=1000))


def test_aliases_count_towards_the_limit_each_time() -> None:
    with pytest.raises(TooComplex, match="filter_nodes"):
        bind(" or ".join(["@a"] * 100), aliases={"a": " or ".join(["tame"] * 100)})


def test_order_is_bound_to_its_fields() -> None:
    order = bind_order(
        "name desc,length(name),mother/weight asc", CATS, **surroundings("read", None)
    )
    assert order[0] == (column("name"), True)
    assert order[2] == (column("weight", "mother"), False)
    assert order[1] == (Call(Type.INT, "length", (column("name"),)), False)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("nmae", UnknownField),
        ("tags", NotSupported),
        ("name,name,name,name,name,name", TooComplex),
        ("fullcount.Mood'keen'", TypeMismatch),
        ("name down", BadSyntax),
    ],
)
def test_an_order_that_cannot_be_is_refused(text: str, error: type[AppError]) -> None:
    with pytest.raises(error):
        bind_order(text, CATS, **surroundings("read", None))


def test_every_measure_of_the_catalog_can_be_bound() -> None:
    given = {**surroundings("read pii operate admin", None), "resolve": dataset_named}
    for dataset in DATASETS:
        for measure in dataset.measures:
            if measure.where:
                whole = replace(dataset, fields=dataset.fields + dataset.measured)
                assert bind_filter(measure.where, whole, **given).type is Type.BOOL


def test_what_cancels_out_leaves_no_depth_behind() -> None:
    assert bind("not " * 40 + "tame") == column("tame")
    assert value("- " * 41 + "lives") == Negate(Type.INT, column("lives"))
    assert bind("tame and (tame and (tame and allowed))") == Both(
        Type.BOOL, "and", (*(column("tame"),) * 3, column("allowed"))
    )
