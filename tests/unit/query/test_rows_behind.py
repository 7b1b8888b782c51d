"""Conditions on several rows behind a navigation: any, all, $count; bound and answered."""

from collections.abc import Mapping

import pytest

from app.base.errors import (
    AppError,
    BadOption,
    BadSyntax,
    NotSupported,
    TooComplex,
    TypeMismatch,
    UnknownField,
)
from app.catalog.index import dataset_named
from app.learning.modules import MODULE_TYPE_NAMES
from app.query.expr import Column, Compare, CountOf, Quantified, parts_of
from app.query.filters import bind_filter
from app.query.plan import Shape, make_plan
from app.query.request import Aggregate, Request
from app.store.engine import Store
from app.store.tables import Module
from tests.builders import (
    a_caller,
    a_module,
    a_small_world,
    an_environment,
    ask,
    rows_of,
    some_settings,
    write_rows,
)


def bind(text: str, dataset: str = "Learners", aliases: Mapping[str, str] | None = None) -> object:
    return bind_filter(
        text,
        dataset_named(dataset),
        settings=some_settings(),
        scopes=frozenset({"read"}),
        aliases=aliases or {},
        resolve=dataset_named,
    )


def shape_of(where: str, dataset: str = "Learners") -> Shape:
    return make_plan(Request(dataset, where=where), a_caller(1), some_settings()).shape


def test_the_variable_stands_for_the_row_behind_and_plain_names_for_the_row_itself() -> None:
    bound = bind("progress/any(p:p/learner_key eq learner_key)")
    assert isinstance(bound, Quantified)
    condition = bound.condition
    assert isinstance(condition, Compare)
    assert isinstance(condition.left, Column)
    assert isinstance(condition.right, Column)
    assert condition.left.of == bound.rows.name
    assert condition.right.of == ""


def test_in_a_filtered_count_plain_names_stand_for_the_rows_behind() -> None:
    bound = bind("progress/$count($filter=score gt 1 and $it/team_key eq 't1') gt 1")
    assert isinstance(bound, Compare)
    assert isinstance(bound.left, CountOf)
    columns = [part for part in parts_of(bound.left) if isinstance(part, Column)]
    assert {(column.field.name, column.of) for column in columns} == {
        ("score", bound.left.rows.name),
        ("team_key", ""),
    }


def test_one_name_may_be_used_again_behind_but_not_within() -> None:
    one = "progress/any(p:p/score gt 1)"
    assert bind(f"{one} and {one}")
    with pytest.raises(BadOption, match="'p' is taken"):
        bind("progress/any(p:p/learner/progress/any(p:p/score gt 1))")


def test_an_alias_stands_for_its_value_within() -> None:
    text = "progress/any(p:p/score gt {})"
    assert bind(text.format("@least"), aliases={"least": "5"}) == bind(text.format("5"))
    json = bind("learner_key in @keys", aliases={"keys": '["u1","u2"]'})
    assert json == bind("learner_key in ('u1','u2')")


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("progress/any(p:p/scor gt 1)", UnknownField, "LearnerProgress has no field 'scor'"),
        ("progress/any(p:q/score gt 1)", UnknownField, "Learners has no field 'q'"),
        ("progress/any(p:p/score)", TypeMismatch, "'any' takes a condition"),
        ("progress/all(p:5)", TypeMismatch, "'all' takes a condition"),
        ("progress/score gt 1", TypeMismatch, "progress leads to several LearnerProgress"),
        ("manager/any(m:true)", TypeMismatch, "manager leads to one Learners"),
        ("team_key/any(t:true)", TypeMismatch, "team_key of Learners is one value"),
        ("team_key/$count gt 1", TypeMismatch, "team_key of Learners is one value"),
        ("nobody/any(t:true)", UnknownField, "Learners has no field 'nobody'"),
        ("progress/$count", TypeMismatch, "$count is a whole number"),
        ("$it/any(t:true)", TypeMismatch, "a row is not several"),
        ("progress/any(p:p/module/tags/any(t:t/x eq 'a'))", UnknownField, "t is a text"),
        ("email/any(t:true)", UnknownField, "Learners has no field 'email'"),
        ("attributes/any(t:true)", TypeMismatch, "attributes of Learners is one value"),
    ],
)
def test_what_leads_nowhere_is_refused_in_words(
    text: str, error: type[AppError], words: str
) -> None:
    with pytest.raises(error) as caught:
        bind(text)
    assert words in caught.value.detail


def test_a_path_to_several_gets_a_hint_of_what_to_write() -> None:
    with pytest.raises(NotSupported) as caught:
        bind("progress eq 5")
    assert caught.value.hint == "Write progress/any(...), progress/all(...) or progress/$count."


def test_two_levels_are_bound_and_three_refused() -> None:
    two = "progress/any(p:p/learner/progress/any(q:{}))"
    assert bind(two.format("q/score gt p/score"))
    assert bind(two.format("q/parts/$count gt 1"))
    for third in ("q/parts/any(r:r/done)", "q/parts/$count($filter=true) gt 1"):
        with pytest.raises(TooComplex, match="lambda_depth, 2"):
            bind(two.format(third))


def test_the_streams_of_the_rows_behind_count() -> None:
    assert MODULE_TYPE_NAMES[0] not in shape_of("team_key eq 't1'").streams
    assert shape_of("progress/any()").streams >= set(MODULE_TYPE_NAMES)
    assert shape_of("progress/any(p:p/module/name eq 'x')").streams >= {"catalog"}
    narrowed = shape_of("progress/$count($filter=module_type eq 'quest') gt 0").streams
    assert narrowed & set(MODULE_TYPE_NAMES) == {"quest"}
    own = shape_of("attempts_made/any() and module_type eq 'quest'", "LearnerProgress").streams
    assert own & set(MODULE_TYPE_NAMES) == {"quest"}


def test_kept_sums_do_not_answer_for_rows_behind() -> None:
    counted = Request("LearnerProgress", group=("status",), aggregates=(Aggregate("n", "count"),))
    plain = make_plan(counted, a_caller(1), some_settings()).shape
    behind = Request(
        "LearnerProgress",
        group=("status",),
        aggregates=(Aggregate("n", "count"),),
        where="attempts_made/any()",
    )
    assert plain.rollup is not None
    assert make_plan(behind, a_caller(1), some_settings()).shape.rollup is None


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("progress/any()", ["u1", "u2", "u3"]),
        ("progress/any(p:p/score gt 1)", ["u1"]),
        ("progress/all(p:p/score gt 1)", []),
        ("progress/all(p:p/status ne 'completed')", ["u2", "u3"]),
        ("progress/all(p:p/score gt 1 or p/score eq null)", ["u1", "u3"]),
        ("not progress/any(p:p/module_type eq 'course')", ["u2", "u3"]),
        ("progress/$count eq 2", ["u1"]),
        ("progress/$count($filter=module_type eq 'course') gt 0", ["u1"]),
        ("progress/$filter(score gt 1)/$count add 1 eq 2", ["u1"]),
        ("progress/$filter(score gt 1)/any(p:p/cycle eq 1)", ["u1"]),
        ("team/learners/any(o:o/learner_key eq 'u1' and o/learner_key ne learner_key)", ["u2"]),
        ("team/learners/all(o:false)", ["u3"]),
        ("progress/any(p:null)", []),
        ("progress/all(p:null)", []),
        ("team eq null", ["u3"]),
        ("null ne team", ["u1", "u2"]),
        ("progress/$count($search=module) ge 0", ["u1", "u2", "u3"]),
        ("progress/$count($search=course) gt 0", []),
        ("progress/$count($search=m2) eq 1", ["u1"]),
    ],
)
def test_rows_behind_are_asked_in_one_statement(store: Store, where: str, keys: list[str]) -> None:
    environment_id = a_small_world(store)
    a_small_world(store, "neighbour")
    request = Request("Learners", select=("learner_key",), where=where)
    answer = ask(store, request, environment_id=environment_id)
    assert [row["learner_key"] for row in rows_of(answer)] == keys


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("tags/any()", ["m1", "m2"]),
        ("tags/any(t:t eq 'a')", ["m1"]),
        ("tags/all(t:startswith(t,'b'))", ["m2", "m3"]),
        ("tags/$count eq 2", ["m1"]),
        ("tags/$count($filter=$this eq 'b''c') eq 1", ["m2"]),
        ("'b''c' in tags", ["m2"]),
        ("tags/any(t:t eq name)", []),
        ("progress/any() or tags/any(t:length(t) gt 2)", ["m2"]),
    ],
)
def test_members_of_a_list_are_asked_like_rows(store: Store, where: str, keys: list[str]) -> None:
    environment_id = an_environment(store)
    tags = ['["a","b"]', '["b\'c"]', "[]"]
    modules = [a_module(n, tags=text) for n, text in enumerate(tags, 1)]
    write_rows(store, Module, modules, environment_id=environment_id)
    request = Request("Modules", select=("module_key",), where=where)
    answer = ask(store, request, environment_id=environment_id)
    assert [row["module_key"] for row in rows_of(answer)] == keys


def test_rows_can_be_sorted_by_how_many_are_behind(store: Store) -> None:
    environment_id = a_small_world(store)
    request = Request("Learners", select=("learner_key",), order_text="progress/$count desc")
    first = ask(store, request, environment_id=environment_id)
    assert [row["learner_key"] for row in rows_of(first)] == ["u1", "u2", "u3"]


# One entity of any set


@pytest.mark.parametrize(
    ("where", "keys"),
    [
        ("learner_key eq $root/LearnerProgress(1)/learner_key", ["u1"]),
        ("learner_key ne $root/LearnerProgress(assignment_id=1)/learner/learner_key", ["u2", "u3"]),
        ("learner_key eq $root/Learners(learner_key='u2')/learner_key", ["u2"]),
        ("learner_key eq $root/Learners(learner_key=@who)/learner_key", ["u3"]),
        ("progress/$count eq $root/Learners(learner_key='u1')/progress/$count", ["u1"]),
        ("$root/Learners(learner_key='u1')/progress/any(p:p/score gt 1)", ["u1", "u2", "u3"]),
        ("$root/Learners(learner_key='u2')/progress/any(p:p/score gt 1)", []),
        (
            "$root/Learners(learner_key='u1')/progress/any(p:p/learner_key eq $it/learner_key)",
            ["u1"],
        ),
        ("$root/LearnerProgress(1)/status eq 'completed' and learner_key eq 'u1'", ["u1"]),
        ("$root/LearnerProgress(1)/status ne 'completed'", []),
        ("$root/LearnerProgress(987654)/score eq null", ["u1", "u2", "u3"]),
        ("$root/LearnerProgress(987654)/score ge 0", []),
        ("not ($root/LearnerProgress(987654)/score ge 0)", ["u1", "u2", "u3"]),
        ("$root/LearnerProgress(1)/module eq null", []),
        ("progress/any(p:p/score ge $root/LearnerProgress(1)/score)", ["u1"]),
    ],
)
def test_an_entity_of_any_set_is_read_by_its_key(store: Store, where: str, keys: list[str]) -> None:
    environment_id = a_small_world(store)
    a_small_world(store, "neighbour")
    request = Request("Learners", select=("learner_key",), where=where, aliases={"@who": "'u3'"})
    answer = ask(store, request, environment_id=environment_id)
    assert [row["learner_key"] for row in rows_of(answer)] == keys


def test_nothing_of_a_neighbour_stands_behind_the_root(store: Store) -> None:
    environment_id = an_environment(store)
    a_small_world(store, "neighbour")
    write_rows(store, Module, [a_module(1)], environment_id=environment_id)
    where = "$root/LearnerProgress(1)/learner_key eq null and $root/Learners(1)/team_key eq null"
    answer = ask(store, Request("Modules", where=where), environment_id=environment_id)
    assert len(rows_of(answer)) == 1


def test_the_streams_of_an_entity_behind_the_root_count() -> None:
    where = "learner_key eq $root/LearnerProgress(1)/learner_key"
    assert shape_of(where).streams >= set(MODULE_TYPE_NAMES)
    quests = f"module_type eq 'quest' and {where}"
    assert shape_of(quests, "LearnerProgress").streams >= set(MODULE_TYPE_NAMES)
    assert "catalog" in shape_of("learner_key eq $root/Modules(1)/name").streams


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("$root/Learners/learner_key eq 'u1'", BadSyntax, "its key must follow, (learner_id)"),
        ("$root/Learner(1)/learner_key eq 'u1'", UnknownField, "no set 'Learner'"),
        ("$root/Learners(1)/email eq 'a'", UnknownField, "Learners has no field 'email'"),
        ("$root/Learners('u1')/team_key eq 'a'", TypeMismatch, "learner_id is a whole number"),
        ("$root/Learners(team_key='a')/team_key eq 'a'", BadSyntax, "its key must follow"),
        ("$root/Learners(1,2)/team_key eq 'a'", BadSyntax, "its key must follow"),
        ("$root/Learners(null)/team_key eq 'a'", BadSyntax, "takes literals"),
        ("$root/Learners(@who)/team_key eq 'a'", BadSyntax, "takes literals"),
        ("$root/Learners(learner_id)/team_key eq 'a'", BadSyntax, "takes literals"),
        ("$root/Learners(1) eq null", NotSupported, "keys within a path"),
        ("$root/Freshness/verdict eq 'complete'", NotSupported, "its rows are not kept"),
        ("manager/reports(1)/team_key eq 1", NotSupported, "keys within a path"),
    ],
)
def test_what_is_no_entity_behind_the_root_is_refused_in_words(
    text: str, error: type[AppError], words: str
) -> None:
    with pytest.raises(error) as caught:
        bind(text)
    assert words in caught.value.detail
