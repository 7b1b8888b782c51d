"""Random sequences of transformations, each with what it makes of rows in plain Python.

Source: OData Extension for Data Aggregation 4.0, section 3
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from math import ceil, floor
from typing import Any

from hypothesis import strategies as st

Row = dict[str, Any]
WORDS = ("status", "module_type", "reason", "module/name", "learner/department", "learner_key")
WHOLES = ("attempts", "cycle", "time_spent_s")
NUMBERS = ("score", "max_score", "percent_complete")


@dataclass(frozen=True, slots=True, repr=False)
class Table:
    """Rows in Python, and what a next transformation may name.

    key: what tells them apart; order: what they are sorted by before it
    words, wholes, numbers: their columns by kind
    """

    rows: tuple[Row, ...]
    key: tuple[str, ...]
    words: tuple[str, ...]
    wholes: tuple[str, ...]
    numbers: tuple[str, ...]
    order: tuple[tuple[str, bool], ...] = ()

    @property
    def figures(self) -> tuple[str, ...]:
        """Every column with numbers."""
        return self.wholes + self.numbers

    def sorted_rows(self) -> list[Row]:
        """The rows in their order; null is the least."""
        rows = list(self.rows)
        for name, descends in reversed((*self.order, *((name, False) for name in self.key))):
            rows.sort(key=lambda row, by=name: rank_of(row.get(by)), reverse=descends)  # type: ignore[misc]
        return rows


# What keeps some of the rows, as a client writes it, and what it does to a table.
Choice = tuple[str, Callable[[Table], Table]]


def rank_of(value: Any) -> tuple[bool, Any]:
    """Where a value sorts."""
    return (value is not None, 0 if value is None else value)


@dataclass(frozen=True, slots=True)
class Piece:
    """A sequence as a client writes it, and the table behind it.

    is_loose: the order of the rows is not told
    """

    text: str
    table: Table = field(repr=False)
    is_loose: bool = False


def base_table(fields: Iterable[Row]) -> Table:
    """The rows of the set itself."""
    named = ("assignment_id", *WORDS, *WHOLES, *NUMBERS)
    rows = tuple({name: row[name] for name in named} for row in fields)
    return Table(rows, ("assignment_id",), WORDS, WHOLES, NUMBERS)


# Numbers


def total_of(values: Sequence[Any]) -> Any:
    """The sum; of decimals that of their first fifteen digits."""
    if not values or all(isinstance(value, int) for value in values):
        return sum(values) if values else None
    return float(sum(Fraction(f"{value:.15g}") for value in values))


def mean_of(values: Sequence[Any]) -> Any:
    """The sum divided by how many there are."""
    return total_of(values) / len(values) if values else None


def middle_of(values: Sequence[Any]) -> Any:
    """The value half the way."""
    if not values:
        return None
    ordered = sorted(map(float, values))
    place = 0.5 * (len(ordered) - 1)
    low, high = ordered[floor(place)], ordered[ceil(place)]
    return low + (place - floor(place)) * (high - low)


METHODS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "sum": total_of,
    "average": mean_of,
    "min": lambda values: min(values, default=None),
    "max": lambda values: max(values, default=None),
    "countdistinct": lambda values: len(set(values)),
    "fullcount.median": middle_of,
}


# Transformations


@st.composite
def pieces(draw: st.DrawFn, table: Table, most: int = 4) -> Piece:
    """A sequence of some transformations."""
    texts, is_loose = [], False
    for number in range(draw(st.integers(1, most))):
        makers = [a_filter, a_compute, a_group, a_total, a_rank, a_sort]
        if most > 2 and number == 0:
            makers += [a_part, a_rollup, a_concat]
        if not table.figures:
            makers = [a_filter, a_group, a_sort]
        elif not table.words:
            makers = [a_filter, a_compute, a_total, a_rank]
        if is_loose:
            # Which rows come first is not told.
            makers = [one for one in makers if one not in {a_rank, a_sort}]
        piece = draw(draw(st.sampled_from(makers))(table, f"x{most}{number}"))
        texts.append(piece.text)
        table = piece.table
        is_loose = piece.is_loose or (is_loose and "groupby" not in piece.text)
    return Piece("/".join(texts), table, is_loose)


@st.composite
def some_filtered(draw: st.DrawFn, table: Table) -> Choice:
    """`filter`."""
    name = draw(st.sampled_from(table.words + table.figures))
    least: int | None = None
    if name in table.figures:
        least = draw(st.sampled_from((0, 1, 2)))
    text = f"{name} ne null" if least is None else f"{name} ge {least}"

    def holds(value: Any) -> bool:
        return value is not None and (least is None or value >= least)

    def keep(given: Table) -> Table:
        return replace(given, rows=tuple(row for row in given.rows if holds(row.get(name))))

    return f"filter({text})", keep


@st.composite
def a_filter(draw: st.DrawFn, table: Table, _name: str) -> Piece:
    """`filter`."""
    text, keep = draw(some_filtered(table))
    return Piece(text, keep(table))


def times_three(value: Any) -> Any:
    """The product; null for null."""
    return None if value is None else value * 3


@st.composite
def a_compute(draw: st.DrawFn, table: Table, name: str) -> Piece:
    """`compute`."""
    own = draw(st.sampled_from(table.figures))
    rows = tuple({**row, name: times_three(row.get(own))} for row in table.rows)
    kind = "wholes" if own in table.wholes else "numbers"
    more: dict[str, Any] = {kind: (*getattr(table, kind), name)}
    return Piece(f"compute({own} mul 3 as {name})", replace(table, rows=rows, **more))


def aggregates(table: Table, name: str) -> st.SearchStrategy[list[tuple[str, str, str]]]:
    """Some numbers: column, method, name."""
    columns = st.sampled_from(table.figures)
    pairs = st.lists(st.tuples(columns, st.sampled_from(sorted(METHODS))), min_size=1, max_size=3)
    return pairs.map(lambda found: [(c, m, f"{name}n{i}") for i, (c, m) in enumerate(found)])


def spell_numbers(asked: Sequence[tuple[str, str, str]], counted: str) -> str:
    """`aggregate` of these numbers and a count."""
    told = [f"{column} with {method} as {name}" for column, method, name in asked]
    return f"aggregate({','.join([*told, f'$count as {counted}'])})"


def add_up(
    table: Table, group: tuple[str, ...], asked: Sequence[tuple[str, str, str]], counted: str
) -> Table:
    """A row for each group."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in table.rows:
        groups.setdefault(tuple(row.get(name) for name in group), []).append(row)
    if not group:
        groups.setdefault((), [])
    rows = []
    for values, members in groups.items():
        made = dict(zip(group, values, strict=True))
        for column, method, name in asked:
            found = [row.get(column) for row in members if row.get(column) is not None]
            made[name] = METHODS[method](found)
        rows.append(made | ({counted: len(members)} if counted else {}))
    wholes = {"countdistinct"}
    keeps = {"sum", "min", "max"}
    whole = [n for c, m, n in asked if m in wholes or (m in keeps and c in table.wholes)]
    return Table(
        tuple(rows),
        group,
        tuple(name for name in group if name in table.words),
        (*(n for n in group if n in table.wholes), *whole, *([counted] if counted else [])),
        (*(n for n in group if n in table.numbers), *(n for _, _, n in asked if n not in whole)),
    )


def groups_of(table: Table) -> st.SearchStrategy[tuple[str, ...]]:
    """Columns to group by."""
    names = st.sampled_from(table.words + table.wholes)
    return st.lists(names, min_size=1, max_size=2, unique=True).map(tuple)


@st.composite
def a_group(draw: st.DrawFn, table: Table, name: str) -> Piece:
    """`groupby`, with or without numbers."""
    group = draw(groups_of(table))
    if not table.figures or draw(st.booleans()):
        return Piece(f"groupby(({','.join(group)}))", add_up(table, group, (), ""))
    asked = draw(aggregates(table, name))
    text = f"groupby(({','.join(group)}),{spell_numbers(asked, name)})"
    return Piece(text, add_up(table, group, asked, name))


@st.composite
def a_total(draw: st.DrawFn, table: Table, name: str) -> Piece:
    """`aggregate`."""
    asked = draw(aggregates(table, name))
    return Piece(spell_numbers(asked, name), add_up(table, (), asked, name))


@st.composite
def some_sorted(draw: st.DrawFn, table: Table) -> Choice:
    """`orderby`, with `skip` and `top` behind it."""
    by, descends = draw(st.sampled_from(table.words + table.figures)), draw(st.booleans())
    skip, top = draw(st.integers(0, 3)), draw(st.integers(0, 9))

    def keep(given: Table) -> Table:
        ordered = replace(given, order=((by, descends), *given.order))
        return replace(ordered, rows=tuple(ordered.sorted_rows()[skip : skip + top]))

    return f"orderby({by}{' desc' if descends else ''})/skip({skip})/top({top})", keep


@st.composite
def a_sort(draw: st.DrawFn, table: Table, _name: str) -> Piece:
    """`orderby`, and perhaps `skip` and `top` behind it."""
    text, keep = draw(some_sorted(table))
    return Piece(text, keep(table))


RANKS = ("topcount", "topsum", "toppercent", "bottomcount", "bottomsum", "bottompercent")


def pick_rows(table: Table, kind: str, column: str, bound: int) -> Table:
    """The rows that a ranking transformation takes, as section 3.3.1 loops over them."""
    order = ((column, kind.startswith("top")),)
    ranked = replace(table, order=order).sorted_rows()
    values = [row[column] for row in ranked if row.get(column) is not None]
    whole = total_of([float(value) for value in values]) or 0.0
    taken: list[Row] = []
    for row in ranked:
        held = [one[column] for one in taken if one.get(column) is not None]
        before = total_of([float(value) for value in held]) or 0.0
        if kind.endswith("count"):
            done = len(taken) == bound
        elif kind.endswith("sum"):
            done = before >= bound
        else:
            done = whole != 0 and Decimal(str(before)) / Decimal(str(whole)) * 100 >= bound
        if done:
            break
        taken.append(row)
    return replace(table, rows=tuple(taken), order=())


@st.composite
def some_ranked(draw: st.DrawFn, table: Table) -> Choice:
    """`topcount` and its kin; a sum may be below nothing."""
    kind, column = draw(st.sampled_from(RANKS)), draw(st.sampled_from(table.figures))
    bound = draw(st.integers(-3 if kind.endswith("sum") else 1, 40))
    return f"{kind}({bound},{column})", lambda given: pick_rows(given, kind, column, bound)


@st.composite
def a_rank(draw: st.DrawFn, table: Table, _name: str) -> Piece:
    """`topcount` and its kin."""
    text, keep = draw(some_ranked(table))
    return Piece(text, keep(table))


@st.composite
def a_part(draw: st.DrawFn, table: Table, name: str) -> Piece:
    """`groupby` with a sequence for each group, which may leave nothing of it to be added up."""
    group, asked = draw(groups_of(table)), draw(aggregates(table, name))
    choices = st.one_of(some_filtered(table), some_ranked(table), some_sorted(table))
    chosen = [draw(choices) for _ in range(draw(st.integers(1, 2)))]
    parts: dict[tuple[Any, ...], list[Row]] = {}
    for row in table.rows:
        parts.setdefault(tuple(row.get(n) for n in group), []).append(row)
    rows = []
    for values, members in parts.items():
        part = replace(table, rows=tuple(members))
        for _, keep in chosen:
            part = keep(part)
        [numbers] = add_up(part, (), asked, name).rows
        rows.append(dict(zip(group, values, strict=True)) | numbers)
    steps = "/".join([*(text for text, _ in chosen), spell_numbers(asked, name)])
    made = replace(add_up(table, group, asked, name), rows=tuple(rows))
    return Piece(f"groupby(({','.join(group)}),{steps})", made)


@st.composite
def a_rollup(draw: st.DrawFn, table: Table, name: str) -> Piece:
    """`groupby` over a rollup."""
    levels = draw(st.lists(st.sampled_from(table.words), min_size=2, max_size=3, unique=True))
    asked = draw(aggregates(table, name))
    tables = [add_up(table, tuple(levels[:n]), asked, name) for n in range(len(levels), 0, -1)]
    text = f"groupby((rollup({','.join(levels)})),{spell_numbers(asked, name)})"
    return Piece(text, join_tables(tables), is_loose=True)


@st.composite
def a_concat(draw: st.DrawFn, table: Table, _name: str) -> Piece:
    """`concat` of two short sequences."""
    first, second = draw(pieces(table, most=1)), draw(pieces(table, most=2))
    text = f"concat({first.text},{second.text})"
    return Piece(text, join_tables([first.table, second.table]), is_loose=True)


def join_tables(tables: Sequence[Table]) -> Table:
    """The rows of all, and the columns that any has; one that a row lacks is not in it."""

    def merged(kind: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for one in tables for name in getattr(one, kind)))

    rows = tuple(row for one in tables for row in one.rows)
    return Table(rows, (), merged("words"), merged("wholes"), merged("numbers"))
