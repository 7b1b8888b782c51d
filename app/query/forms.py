"""A shape in, its form out: what questions share that differ in their literals alone.

SQL is written and compiled once for a form; the literals are bound by name when it runs.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import count
from typing import Any

from app.query.expr import Expr, Literal, Slot, literal_bound
from app.query.groups import Output, OutputColumn
from app.query.plan import Shape
from app.query.request import Request
from app.query.streams import Expansion


@dataclass(frozen=True, slots=True)
class Form:
    """What SQL is written from, and what it is run with.

    shape: without literals, and without all that no SQL depends on; the same object for all
        questions of this form
    literals: the values by the names of their slots
    """

    shape: Shape
    literals: dict[str, Any]


@lru_cache(maxsize=512)
def form_of(shape: Shape) -> Form:
    """The form of a shape."""
    alike = _Alike(shape)
    return Form(_first_alike(alike), alike.literals)


class _Alike:
    """A shape, equal to all that give the same SQL.

    Parts of the catalog count by their identity; they live as long as the form that holds them.
    """

    __slots__ = ("_key", "literals", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.literals: dict[str, Any] = {}
        asked = shape.request
        parts = (shape.expansions, shape.where, shape.order, shape.outputs)
        self._key = (
            *(asked.dataset, asked.timezone, asked.id_name, asked.id_always),
            *(id(shape.dataset), id(shape.datasets), id(shape.rollup), id(shape.stage)),
            *(tuple(map(id, part)) for part in (shape.fields, shape.group)),
            shape.group_order,
            *(self._key_of(part) for part in parts),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Alike) and self._key == other._key

    def _key_of(self, value: Any) -> Hashable:
        """What tells a part from others; its literals are noted in the order of their slots."""
        if isinstance(value, tuple):
            return tuple([self._key_of(part) for part in value])
        if value is None or isinstance(value, str | int | OutputColumn):
            return value
        if isinstance(value, Slot):
            return (Slot, value.type, value.name)
        if isinstance(value, Literal) and value.value is not None:
            self.literals[_slot_name(len(self.literals))] = literal_bound(value)
            return (Slot, value.type)
        if isinstance(value, Expr | Expansion | Output):
            kind = type(value)
            return (
                kind,
                *[self._key_of(getattr(value, name)) for name in kind.__dataclass_fields__],
            )
        return id(value)


@lru_cache(maxsize=512)
def _first_alike(alike: _Alike) -> Shape:
    """Of shapes that are alike the first one, lifted, so that its statements are found again."""
    shape, numbers = alike.shape, count()
    asked = shape.request
    bare = Request(
        asked.dataset, timezone=asked.timezone, id_name=asked.id_name, id_always=asked.id_always
    )
    return replace(
        shape,
        request=bare,
        expansions=_lift(shape.expansions, numbers),
        where=_lift(shape.where, numbers),
        order=_lift(shape.order, numbers),
        outputs=_lift(shape.outputs, numbers),
        streams=frozenset(),
        page_rows=0,
    )


def _lift(value: Any, numbers: Iterator[int]) -> Any:
    """A value with slots in place of its literals; null stays, for SQL spells it differently."""
    if isinstance(value, tuple):
        return tuple([_lift(part, numbers) for part in value])
    if isinstance(value, Literal) and not isinstance(value, Slot) and value.value is not None:
        return Slot(value.type, ..., _slot_name(next(numbers)))
    if not isinstance(value, Expr | Expansion | Output):
        return value
    names = type(value).__dataclass_fields__
    return replace(value, **{name: _lift(getattr(value, name), numbers) for name in names})


def _slot_name(number: int) -> str:
    return f"literal_{number}"
