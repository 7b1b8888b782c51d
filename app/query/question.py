"""Question: a request with all it is judged by; names are looked up and expressions bound here."""

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from difflib import get_close_matches
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement

from app.base.config import Settings
from app.base.errors import BadOption, ScopeMissing, TooComplex, UnknownField
from app.catalog.datasets.attributes import dates_among
from app.catalog.fields import Dataset, Field, Frame, Navigation, Type
from app.catalog.index import dataset_named
from app.query.binding import Binder
from app.query.conditions import write_value
from app.query.expr import AsOf, Both, Column, CountOf, Expr, Literal, Rows, own_column
from app.query.filters import bind_compute, bind_filter, bind_order
from app.query.frames import DatasetFrame
from app.query.lists import list_fields
from app.query.request import Request
from app.query.searching import bind_search_terms
from app.store.arithmetic import whole_between

_APART = {"key", "aliases", "after", "as_of", "revision", "demand"}
_plain_of = attrgetter(*(name for name in Request.__dataclass_fields__ if name not in _APART))
# All that shapes a plan of the settings: doors with the same limits find one another's plans.
_limits_of = attrgetter(*(name for name in Settings.model_fields if name.startswith("limit_")))


class Question:
    """A request with all it is judged by, to be found again in the cache of shapes.

    is_new: its shape was made for it, not found
    it: what `$it` means in a part of it, where that is not the part's own row
    """

    __slots__ = (
        "_carried",
        "_columns",
        "_computed",
        "_key",
        "datasets",
        "is_new",
        "it",
        "request",
        "scopes",
        "settings",
    )

    def __init__(
        self,
        request: Request,
        *,
        scopes: frozenset[str],
        settings: Settings,
        datasets: tuple[Dataset, ...],
    ) -> None:
        self.request, self.scopes = request, scopes
        self.settings, self.datasets = settings, datasets
        self.is_new = False
        self.it: Rows | None = None
        self._computed: dict[int, tuple[Expr, int]] = {}
        self._carried: dict[int, int] = {}
        self._columns = 0
        self._key = (
            *_plain_of(request),
            None if request.key is None else tuple(map(_key_part, request.key.items())),
            tuple(request.aliases.items()),
            request.demand.until_complete,
            scopes,
            _limits_of(settings),
            id(datasets),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Question) and self._key == other._key

    def allowed_dataset(self, name: str) -> Dataset:
        """The dataset of this name, if the caller may ask it.

        Raises: UnknownDataset, ScopeMissing
        """
        dataset = dataset_named(name, self.datasets)
        if dataset.scope not in self.scopes:
            raise ScopeMissing(f"{dataset.name} needs a key with scope {dataset.scope!r}")
        return dataset

    def with_aliases(self, aliases: tuple[tuple[str, str], ...]) -> "Question":
        """The same question, in a part of which further aliases are known."""
        if not aliases:
            return self
        inner = copy(self)
        own = {name.removeprefix("@"): text for name, text in aliases}
        known = {name.removeprefix("@"): text for name, text in self.request.aliases.items()}
        inner.request = replace(self.request, aliases=known | own)
        return inner

    def with_it(self, dataset: Dataset, navigation: Navigation) -> "Question":
        """The same question for rows behind a navigation: there `$it` is still the row that the
        path of the question leads to.

        Source: OData URL Conventions 4.01, section 5.1.1.14.4
        """
        if self.it is not None:
            return self
        inner = copy(self)
        inner.it = Rows(Type.NULL, "$it", "", (), navigation, dataset)
        return inner

    def with_computed(
        self, dataset: Dataset, text: str, *, origin: Dataset | None = None
    ) -> Dataset:
        """A dataset with the columns of a `$compute` among its fields.

        origin: the set that it was made from, whose names are taken, too
        Raises: as bind_compute; BadOption for a name that is taken
        Source: OData URL Conventions 4.01, section 5.1.8
        """
        if not text:
            return dataset
        columns = bind_compute(text, dataset, **self._surroundings(dataset))
        return self.with_columns(dataset, columns, origin=origin or dataset)

    def with_columns(
        self, dataset: Dataset, columns: Iterable[tuple[str, Expr, int]], *, origin: Dataset
    ) -> Dataset:
        """A dataset with computed columns: of each its name, what it is, and how many nodes.

        origin: the set that it was made from
        Raises: BadOption for a name that is taken
        Source: OData Extension for Data Aggregation 4.0, section 3.1.1
        """
        fields = list(dataset.fields)
        taken = {field.name for field in (*fields, *origin.fields)}
        taken |= {way.name for way in (*dataset.navigations, *origin.navigations)}
        for name, expr, weight in columns:
            if name in taken:
                hint = "Another name must follow 'as'."
                raise BadOption(f"compute makes {name[:60]!r}, which is there", hint=hint)
            taken.add(name)
            fields.append(_computed_field(name, expr))
            self._computed[id(fields[-1])] = (expr, weight)
        return replace(dataset, fields=tuple(fields))

    @property
    def is_clipped(self) -> bool:
        """Are rows left out that are not known to be complete, also those behind others?"""
        return self.request.demand.until_complete

    @property
    def computed(self) -> dict[int, Expr]:
        """What each computed field is made from, by its identity."""
        return {identity: expr for identity, (expr, _) in self._computed.items()}

    def binder(self, dataset: Dataset) -> Binder:
        """What binds trees to rows of a dataset, within the limits of one expression."""
        return Binder(dataset, **self._surroundings(dataset))

    def _surroundings(self, dataset: Dataset) -> dict[str, Any]:
        """What names in expressions over rows of a dataset are looked up in, and the limits."""
        return {
            "settings": self.settings,
            "scopes": self.scopes,
            "aliases": self.request.aliases,
            "resolve": lambda name: dataset_named(name, self.datasets),
            "weights": self.weights_of(dataset),
            "it": self.it,
            "is_clipped": self.is_clipped,
        }

    def computed_in(self, dataset: Dataset, shown: Iterable[Field] = ()) -> tuple[Expr, ...]:
        """What the computed columns of a dataset, and of what is shown of it, are made from."""
        known = self._computed
        read = {id(field): field for field in (*dataset.fields, *shown)}
        return tuple(known[identity][0] for identity in read if identity in known)

    def bind_condition(self, dataset: Dataset, text: str) -> Expr:
        """A condition over rows of a dataset.

        Raises: as bind_filter
        """
        return bind_filter(text, dataset, **self._surroundings(dataset))

    def bind_rows(self, dataset: Dataset, where: str, search: str) -> Expr | None:
        """The condition of a filter and a search together, or None for neither.

        Raises: as bind_condition and bind_search_terms
        """
        terms = []
        if search:
            terms.append(
                bind_search_terms(search, dataset, settings=self.settings, scopes=self.scopes)
            )
        if where:
            terms.append(self.bind_condition(dataset, where))
        if len(terms) < 2:
            return terms[0] if terms else None
        return Both(terms[0].type, "and", tuple(terms))

    def bind_total_order(
        self,
        dataset: Dataset,
        text: str,
        *,
        before: tuple[tuple[Expr, bool], ...] = (),
        keys: tuple[Field, ...] | None = None,
    ) -> tuple[tuple[Expr, bool], ...]:
        """What rows are sorted by, the key last, so that the order is total.

        before: what they are sorted by where nothing is asked
        keys: what tells them apart, where they are no set's own
        Raises: as bind_order; BadOption for a constant
        """
        asked = before
        if text:
            asked = bind_order(text, dataset, **self._surroundings(dataset))
        if any(isinstance(expr, Literal | AsOf) for expr, _ in asked):
            raise BadOption("a constant is nothing to sort by", hint="Sort by fields.")
        given = {id(e.field) for e, _ in asked if isinstance(e, Column) and not e.path}
        if keys is None:
            keys = tuple(field_named(dataset, name, self.scopes) for name in dataset.key)
        return asked + tuple((own_column(f), False) for f in keys if id(f) not in given)

    def weights_of(self, dataset: Dataset) -> dict[str, int]:
        """How many nodes each computed field of a dataset stands for, by name."""
        known = self._computed
        told = {field.name: known[id(field)][1] for field in dataset.fields if id(field) in known}
        carried = self._carried
        return told | {f.name: carried[id(f)] for f in dataset.fields if id(f) in carried}

    def weigh(self, field: Field, weight: int) -> None:
        """Let a column of a stage weigh what it did below: databases merge selects."""
        self._carried[id(field)] = weight

    def next_column(self) -> str:
        """A name that no column of a stage has yet."""
        self._columns += 1
        return f"c{self._columns}"

    def selected_fields(self, dataset: Dataset, names: tuple[str, ...]) -> tuple[Field, ...]:
        """The fields of these names, each once; all that the caller may see when none is named.

        Raises: UnknownField, TooComplex
        """
        if not names:
            return tuple(f for f in dataset.fields if f.scope is None or f.scope in self.scopes)
        limit = self.settings.limit_select
        if len(names) > limit:
            raise TooComplex(f"$select names {len(names)} fields; at most {limit}")
        found: list[Field] = []
        for name in dict.fromkeys(names):
            if name.endswith(")"):
                chosen, shown, count = list_fields(dataset, name, self.binder(dataset))
                self._computed[id(shown)] = (chosen, 0)
                found += [shown] if count is None else [count, shown]
            else:
                found.append(field_named(dataset, name, self.scopes))
        if len({field.name for field in found}) < len(found):
            raise BadOption("a list is selected more than once", target="$select")
        return tuple(found)

    def tell_types(self, fields: tuple[Field, ...], origin: Dataset) -> tuple[Field, ...]:
        """Fields as they are shown: those the set does not declare may be told with their type."""
        dates = dates_among(origin) if self.request.tell_dates else ()
        if dates:
            fields = tuple(replace(f, dates=dates) if f.type is Type.OPEN else f for f in fields)
        tell = self.request.tell_type
        if tell is None or all(self._is_declared(field.name, origin) for field in fields):
            return fields
        return tuple(
            field if self._is_declared(field.name, origin) else replace(field, told=tell(field))
            for field in fields
        )

    def _is_declared(self, path: str, origin: Dataset) -> bool:
        """Is what a path leads to a field of a set, or one of its own counts?"""
        name, _, rest = path.partition("/")
        if not rest:
            return "@" in name or origin.field(name) is not None
        way = origin.navigation(name)
        return way is not None and self._is_declared(rest, dataset_named(way.target, self.datasets))


def _key_part(named: tuple[str, Any]) -> tuple[str, Any]:
    """A key's name and value; a number has a slot (`slot_of`): all entities share a plan."""
    name, value = named
    return (name, int) if isinstance(value, int) else named


def slot_of(name: str) -> str:
    """The name of the slot in which a number of a key is bound."""
    return f"key_{name}"


def _computed_field(name: str, expr: Expr) -> Field:
    """A column that is reckoned from others of its row."""

    def write(frame: Frame) -> ColumnElement[Any]:
        if not isinstance(frame, DatasetFrame):
            raise TypeError(type(frame).__name__)
        value = write_value(expr, frame)
        if expr.type is not Type.INT or isinstance(expr, Column | CountOf | Literal):
            return value
        return whole_between(value, -(2**63), 2**63 - 1, is_double=False)

    return Field(
        name,
        expr.type,
        name,
        "Computed by the question.",
        sql=write,
        enumeration=expr.enumeration if isinstance(expr, Column) else None,
        unit=expr.field.unit if isinstance(expr, Column) else None,
    )


def field_named(dataset: Dataset, name: str, scopes: Iterable[str]) -> Field:
    """A field this caller may see.

    Raises: UnknownField, with the nearest name as a hint
    """
    every = (*dataset.fields, *dataset.dynamic)
    visible = [f for f in every if f.scope is None or f.scope in scopes]
    for field in visible:
        if field.name == name:
            return field
    near = get_close_matches(name, [f.name for f in visible], n=1)
    hint = f"Did you mean {near[0]}?" if near else f"GET /v1/datasets/{dataset.name} lists them."
    raise UnknownField(f"{dataset.name} has no field {name[:100]!r}", hint=hint, target=name[:100])
