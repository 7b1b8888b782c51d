"""Where the fields of a plan come from: frames over tables, their joins and navigations.

A statement has one root frame; each navigation that is filtered, sorted or expanded is one more
frame, joined once. Every joined table carries the environment.
"""

from collections.abc import Iterator
from copy import copy
from itertools import count
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Text, and_, bindparam

from app.catalog.fields import Dataset, Field, Navigation
from app.catalog.index import dataset_named
from app.store.jsontext import rows_from_json
from app.store.tables.columns import Long, UtcDateTime

ENVIRONMENT_BIND = "environment_id"
AS_OF_BIND = "as_of"
AS_OF_DAY_BIND = "as_of_day"


class Sources:
    """The FROM clause of one statement while it is being made.

    computed: the names of the judged row sources it reads; their rows are bound as JSON text
    within: the statement that this one is correlated with, so that no two aliases are the same
    root: where the dataset's own rows come from, if not from its table
    id_name, id_always: the member that holds the address of a row, and whether all rows have it
    base: rows that are there already, instead of the dataset's own
    """

    def __init__(
        self,
        dataset: Dataset,
        dialect_name: str,
        datasets: tuple[Dataset, ...],
        *,
        zone: str = "UTC",
        within: "Sources | None" = None,
        root: FromClause | None = None,
        id_name: str = "",
        id_always: bool = False,
        base: FromClause | None = None,
    ) -> None:
        self.dialect_name = dialect_name
        self.datasets = datasets
        self.environment_id = bindparam(ENVIRONMENT_BIND, type_=Long)
        self.as_of = bindparam(AS_OF_BIND, type_=UtcDateTime())
        self.as_of_day = bindparam(AS_OF_DAY_BIND, type_=Text())
        self.zone = zone
        self.id_name: str = id_name if within is None else within.id_name
        self.id_always: bool = id_always if within is None else within.id_always
        self.computed: set[str] = set() if within is None else within.computed
        self._numbers: Iterator[int] = count(1) if within is None else within._numbers
        if base is None:
            base = self.source_of(dataset) if root is None else root
        self.root = DatasetFrame(dataset, base, self)
        self.clause: FromClause = self.root.base
        self.conditions = [self.root.environment_condition()]
        if dataset.where is not None:
            self.conditions.append(dataset.where(self.root))

    def source_of(self, dataset: Dataset) -> FromClause:
        """A fresh alias of the dataset's table, of its select, or of its judged rows."""
        name = self.next_name()
        if dataset.table is not None:
            return dataset.table.alias(name)
        if dataset.rows is not None:
            return dataset.rows(self.environment_id, self.as_of).subquery(name)
        computed = str(dataset.computed)
        self.computed.add(computed)
        columns = [(field.name, _kind_of(field)) for field in dataset.fields]
        rows: ColumnElement[Any] = bindparam(computed_bind(computed))
        return rows_from_json(rows, columns, self.dialect_name, name=name)

    def alias_of(self, table: Any) -> FromClause:
        """A fresh alias of a table."""
        alias: FromClause = table.alias(self.next_name())
        return alias

    def next_name(self) -> str:
        """A name that no alias of the statement has yet."""
        return f"t{next(self._numbers)}"

    def add(self, source: FromClause, condition: ColumnElement[bool]) -> None:
        """Join a source that has at most one row for each row so far."""
        self.clause = self.clause.outerjoin(source, condition)


class DatasetFrame:
    """One dataset at one place of a statement; what `catalog.fields.Frame` promises.

    rows: the rows that expressions written against it can name: its own by the empty name, those
        around it by theirs; a member of a list is its value
    """

    def __init__(self, dataset: Dataset, base: FromClause, sources: Sources) -> None:
        self.dataset = dataset
        self._base = base
        self._sources = sources
        self.rows: dict[str, DatasetFrame | ColumnElement[Any]] = {"": self}
        self._joins: dict[str, FromClause] = {}
        self._navigations: dict[str, DatasetFrame] = {}

    @property
    def base(self) -> FromClause:
        """The dataset's own table here."""
        return self._base

    @property
    def as_of(self) -> ColumnElement[Any]:
        """The moment the question is asked for."""
        return self._sources.as_of

    @property
    def as_of_day(self) -> ColumnElement[Any]:
        """Its day in the zone, as text."""
        return self._sources.as_of_day

    @property
    def zone(self) -> str:
        """The time zone of days, weeks and months."""
        return self._sources.zone

    @property
    def sources(self) -> Sources:
        """The statement it is part of."""
        return self._sources

    @property
    def environment_id(self) -> ColumnElement[Any]:
        """The caller's environment."""
        return self._sources.environment_id

    def row(self, name: str) -> "DatasetFrame":
        """The frame of the rows of this name; its own when the name is empty."""
        found = self.rows[name]
        if not isinstance(found, DatasetFrame):
            raise LookupError(f"{name} is no row")
        return found

    def among(self, name: str, value: ColumnElement[Any]) -> "DatasetFrame":
        """The same frame, in which a name stands for the present member of a list."""
        frame = copy(self)
        frame.rows = {**self.rows, name: value}
        return frame

    def follow(self, path: tuple[str, ...]) -> "DatasetFrame":
        """The frame at the end of to-one navigations."""
        frame = self
        for name in path:
            navigation = frame.dataset.navigation(name)
            if navigation is None:
                raise LookupError(f"{frame.dataset.name} has no navigation {name}")
            frame = frame.navigate(navigation)
        return frame

    def environment_condition(self) -> ColumnElement[bool]:
        """The base belongs to the environment; judged rows always do."""
        if self.dataset.table is None:
            return self._sources.environment_id == self._sources.environment_id
        return self._base.c.environment_id == self.environment_id

    def join(self, name: str) -> FromClause:
        """The alias of a declared join, added to the statement the first time."""
        if name not in self._joins:
            declared = next(join for join in self.dataset.joins if join.name == name)
            alias = self._sources.alias_of(declared.table)
            condition = declared.on(self, alias)
            self._joins[name] = alias
            self._sources.add(alias, and_(alias.c.environment_id == self.environment_id, condition))
        return self._joins[name]

    def navigate(self, navigation: Navigation) -> "DatasetFrame":
        """The frame of a to-one navigation, joined the first time."""
        if navigation.name not in self._navigations:
            dataset = dataset_named(navigation.target, self._sources.datasets)
            frame = DatasetFrame(dataset, self._sources.source_of(dataset), self._sources)
            conditions = [frame.environment_condition()]
            if dataset.where is not None:
                conditions.append(dataset.where(frame))
            for own, target in navigation.pairs:
                conditions.append(frame.value_of(target) == self.value_of(own))
            self._navigations[navigation.name] = frame
            self._sources.add(frame.base, and_(*conditions))
        return self._navigations[navigation.name]

    def value_of(self, name: str) -> ColumnElement[Any]:
        """The SQL of a field of this dataset, by name."""
        field = self.dataset.field(name)
        if field is None:
            raise LookupError(f"{self.dataset.name} has no field {name}")
        return self.value(field)

    def value(self, field: Field) -> ColumnElement[Any]:
        """The SQL of a field of this dataset."""
        if field.sql is not None:
            return field.sql(self)
        source = self._base if field.via is None else self.join(field.via)
        column: ColumnElement[Any] = source.c[field.column or field.name]
        return column


def computed_bind(name: str) -> str:
    """The name of the bound parameter that brings judged rows."""
    return f"computed_{name}"


def _kind_of(field: Field) -> str:
    return "text" if field.type in {"enum", "text", "date"} else str(field.type)
