"""$search over the texts that a set declares, in any case of letters, on both databases."""

import pytest

from app.base.errors import BadSyntax, NotSupported, TooComplex
from app.catalog.fields import Type
from app.catalog.index import DATASETS
from app.query.plan import make_plan
from app.query.request import Expand, Request
from app.store.engine import Store
from app.store.tables import Learner, Module
from tests.builders import (
    a_caller,
    a_learner,
    a_module,
    a_small_world,
    an_environment,
    ask,
    rows_of,
    some_settings,
    write_rows,
)

NAMES = [
    "Fire Safety",
    "fire drill",
    "ÉCOLE d'été",
    "50%_off",
    "Straße",
    "İstanbul",
    "nothing",
    'a 12" C:\\x',
]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("fire", [1, 2]),
        ("FIRE", [1, 2]),
        ("fire drill", [2]),
        ("fire AND safety", [1]),
        ("drill OR safety", [1, 2]),
        ("fire NOT drill", [1]),
        ("NOT fire", [3, 4, 5, 6, 7, 8]),
        (r'"12\" c"', [8]),
        (r'"\""', [8]),
        (r'"c:\\x"', [8]),
        (r'"c:\x"', [8]),
        ('"fire d"', [2]),
        ('"e d"', [2, 3]),
        ("école", [3]),
        ("ÉTÉ", [3]),
        ("%", [4]),
        ("_", [4]),
        ("50%_o", [4]),
        ("STRAßE", [5]),
        ("strasse", []),
        ("İSTANBUL", [6]),
        ("m7", [7]),
        ("'fire saf'", [1]),
        ("(fire AND drill) OR %", [2, 4]),
    ],
)
def test_words_are_found_in_any_case(store: Store, search: str, found: list[int]) -> None:
    environment_id = an_environment(store)
    modules = [a_module(number, name=name) for number, name in enumerate(NAMES, 1)]
    write_rows(store, Module, modules, environment_id=environment_id)
    request = Request("Modules", select=("module_id",), search=search, count=True)
    answer = ask(store, request, environment_id=environment_id)
    assert [row["module_id"] for row in rows_of(answer)] == found
    assert answer.total == len(found)


def test_a_text_that_is_null_holds_no_word_and_a_filter_narrows_further(store: Store) -> None:
    environment_id = a_small_world(store)
    rows = Request("LearnerProgress", select=("assignment_id",), search="NOT team")
    found = rows_of(ask(store, rows, environment_id=environment_id))
    assert [row["assignment_id"] for row in found] == [3, 5]
    narrowed = Request(
        "LearnerProgress", select=("assignment_id",), search="NOT team", where="cycle eq 1"
    )
    assert len(rows_of(ask(store, narrowed, environment_id=environment_id))) == 2


def test_rows_behind_a_navigation_can_be_searched(store: Store) -> None:
    environment_id = a_small_world(store)
    expand = Expand("progress", select=("module_key",), search="m2")
    request = Request("Learners", select=("learner_key",), expand=(expand,), top=1)
    (row,) = rows_of(ask(store, request, environment_id=environment_id))
    assert row["progress"] == [{"module_key": "m2"}]


def test_a_field_beyond_the_callers_scope_is_not_searched(store: Store) -> None:
    environment_id = an_environment(store)
    write_rows(store, Learner, [a_learner(1)], environment_id=environment_id)
    plan = make_plan(Request("Learners", search="x"), a_caller(1), some_settings())
    seen = make_plan(Request("Learners", search="x"), a_caller(1, "read", "pii"), some_settings())
    names = [
        {column.field.name for column in getattr(made.shape.where, "fields", ())}
        for made in (plan, seen)
    ]
    assert "email" not in names[0]
    assert names[1] - names[0] == {"display_name", "email", "employee_no"}


def test_a_search_has_limits_and_needs_a_set_with_texts() -> None:
    nine = Request("Modules", search=" ".join("abcdefghi"))
    with pytest.raises(TooComplex, match="search_terms is 8"):
        make_plan(nine, a_caller(1), some_settings())
    with pytest.raises(TooComplex, match="filter_bytes"):
        make_plan(Request("Modules", search="a" * 9000), a_caller(1), some_settings())
    with pytest.raises(NotSupported, match="Memberships has no text"):
        make_plan(Request("Memberships", search="a"), a_caller(1), some_settings())
    with pytest.raises(BadSyntax):
        make_plan(Request("Modules", search="\ud800"), a_caller(1), some_settings())


def test_what_a_set_declares_to_be_searched_are_texts_of_its_own() -> None:
    declared = [(dataset, name) for dataset in DATASETS for name in dataset.searchable]
    assert len(declared) > 20
    for dataset, name in declared:
        field = dataset.field(name)
        assert field is not None
        assert field.type is Type.TEXT
