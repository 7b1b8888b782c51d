"""The folds of modules, series, sessions and certifications, in cases worked by hand."""

from itertools import permutations

from app.learning.catalog import (
    SeriesModule,
    fold_certification,
    fold_module,
    fold_series,
    fold_session,
)
from app.learning.facts import Fact
from tests.unit.learning.told import a_fact, at, fates, text_of

MODULE = 'module:["m7"]'


def a_module(seq: int, minute: float, **data: object) -> Fact:
    return a_fact(seq, "module.upserted", minute, module="m7", **data)


def a_part(seq: int, minute: float, part: str, **data: object) -> Fact:
    return a_fact(seq, "part.upserted", minute, module="m7", part=part, part_type="card", **data)


def test_a_module_is_published_when_it_is_known_and_archived_or_deleted_later() -> None:
    stated = a_module(1, 1, module_type="quest", name="Q", published_at=text_of(0), tags=["a", "b"])
    archived = a_fact(2, "module.archived", 2, module="m7")
    deleted = a_fact(3, "module.deleted", 3, module="m7")

    state = fold_module(MODULE, [stated]).state
    assert (state.status, state.module_type, state.name) == ("published", "quest", "Q")
    assert (state.published_at, state.tags, state.known) == (at(0), ("a", "b"), True)
    for order in permutations([stated, archived, deleted]):
        gone = fold_module(MODULE, order).state
        assert (gone.status, gone.archived_at, gone.events_count) == ("deleted", at(2), 3)
    back = fold_module(MODULE, [archived, a_module(4, 4, name="Q2")]).state
    assert (back.status, back.archived_at) == ("published", None)


def test_parts_fold_with_their_module_each_field_by_itself() -> None:
    facts = [
        a_part(1, 1, "p2", position=2, title="old", needs_signoff=True),
        a_part(2, 2, "p2", position=1, required=False),
        a_part(3, 1, "p1", position=1, weight=0.5, parent="p2"),
    ]
    for order in permutations(facts):
        folded = fold_module(MODULE, order)
        first, second = folded.parts
        assert (first.part_key, first.weight, first.parent_key, first.required) == (
            "p1",
            0.5,
            "p2",
            True,
        )
        assert (second.part_key, second.position, second.title) == ("p2", 1, "old")
        assert (second.required, second.needs_signoff) == (False, True)
        assert (folded.state.parts_count, folded.state.known, folded.state.status) == (
            2,
            False,
            "draft",
        )
        assert fates(folded.settlements) == {1: None, 2: None, 3: None}


def test_a_series_has_the_modules_it_last_listed() -> None:
    listed = [{"module": "b", "position": 2}, {"module": "a", "position": 1, "required": False}]
    facts = [
        a_fact(1, "series.upserted", 1, series="s", name="S", kind="path", modules=[]),
        a_fact(2, "series.upserted", 2, series="s", name="S2", modules=listed),
    ]
    folded = fold_series('series:["s"]', facts)

    assert folded.modules == (SeriesModule("a", 1, False), SeriesModule("b", 2, True))
    assert (folded.state.name, folded.state.kind, folded.state.modules_count) == ("S2", "path", 2)
    assert fold_series('series:["s"]', facts[::-1]) == folded


def test_a_session_can_be_cancelled_and_planned_again() -> None:
    planned = a_fact(
        1,
        "session.scheduled",
        1,
        module="m",
        session="s",
        starts_at=text_of(60),
        ends_at=text_of(90),
    )
    cancelled = a_fact(2, "session.cancelled", 2, module="m", session="s")
    moved = a_fact(
        3,
        "session.scheduled",
        3,
        module="m",
        session="s",
        starts_at=text_of(70),
        ends_at=text_of(99),
    )

    key = 'session:["m","s"]'
    assert fold_session(key, [cancelled, planned]).state.status == "cancelled"
    folded = fold_session(key, [moved, cancelled, planned])
    assert (folded.state.status, folded.state.starts_at) == ("scheduled", at(70))
    assert (folded.state.module_key, folded.state.session_key) == ("m", "s")
    assert fates(folded.settlements) == {1: 3, 2: 3, 3: None}


def test_a_certification_keeps_what_was_last_said_of_it() -> None:
    facts = [
        a_fact(1, "certification.upserted", 1, certification="c", name="C", valid_days=365),
        a_fact(2, "certification.upserted", 2, certification="c", name="C2", series="s"),
    ]
    state = fold_certification('certification:["c"]', facts).state
    assert (state.name, state.valid_days, state.series_key, state.known) == ("C2", 365, "s", True)
