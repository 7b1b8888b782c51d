"""What all folds do alike: order, voids, slots."""

from itertools import permutations

from app.learning.facts import Slots, drop_voided, order_facts, settle
from tests.unit.learning.told import a_fact, fates, void


def test_facts_are_ordered_by_time_then_sequence_then_name_and_never_by_arrival() -> None:
    late = a_fact(1, "x", 2)
    second = a_fact(2, "x", 1, sequence=10)
    first = a_fact(3, "x", 1, sequence=9, named="z")
    named = a_fact(4, "x", 1, sequence=10, named="e3")

    assert order_facts([late, second, first, named]) == [first, second, named, late]


def test_a_void_takes_out_its_target_of_the_same_source_only() -> None:
    target, other = a_fact(1, "x", 5), a_fact(2, "x", 5, named="e1", source_id=2)
    corrected = void(3, 1, "e1")
    for order in permutations([target, other, corrected]):
        living = drop_voided(order)
        assert living.facts == (other,)
        assert living.winners == {1: 3}
        assert not living.has_waiting_void


def test_a_void_waits_for_its_target_and_cannot_be_voided() -> None:
    assert drop_voided([void(1, 0, "unheard")]).has_waiting_void
    living = drop_voided([a_fact(1, "x", 0), void(2, 1, "e1"), void(3, 2, "e2")])
    assert living.facts == ()
    assert living.winners == {1: 2}


def test_of_two_voids_the_later_wins() -> None:
    living = drop_voided([void(3, 2, "e1"), void(2, 1, "e1"), a_fact(1, "x", 0)])
    assert living.winners == {1: 3}


def test_a_fact_is_superseded_when_it_holds_no_slot_any_more() -> None:
    facts = [a_fact(seq, "x", seq) for seq in (1, 2, 3, 4)]
    slots = Slots()
    slots.claim(facts[0], "a", 1)
    slots.claim(facts[0], "b", 1)
    slots.claim(facts[1], "a", 2)
    assert slots.winners() == {}
    slots.claim(facts[2], "b", None)

    assert slots.winners() == {1: 3}
    assert slots.value("b", default="none") == "none"
    assert fates(settle(facts, slots.winners())) == {1: 3, 2: None, 3: None, 4: None}
