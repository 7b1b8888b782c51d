"""`$select` and `$expand` of a set in, out what to ask for, and how the context URL tells it.

Source: OData Protocol 4.01, 10.7 to 10.10 and 11.2.5; URL Conventions 4.01, 5.1.2 and 5.1.3
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

from app.base.config import Settings
from app.base.errors import BadOption, NotSupported, TooComplex
from app.catalog.fields import Dataset, Navigation, Type
from app.odata.feed import NAMESPACE, Feed, find_navigation
from app.query.request import Expand
from app.query.selections import Item, parse_expand, parse_select

EXPANDED_ROW = frozenset({"select", "expand", "levels", "compute"})
# Qualified names in $select are those of functions and actions; what rows have none of is ignored.
OPERATIONS = f"{NAMESPACE}."
EXPANDED_ROWS = EXPANDED_ROW | {"filter", "search", "orderby", "top", "skip", "count"}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which columns and related rows an answer holds.

    select: field names, those of lists with their options; empty means all
    names: what `$select` names, navigations among it; empty without `$select`
    members: names within open objects, by the object's field; other members are left out
    inner: what the rows behind each expanded navigation hold
    references, counts: navigations of which only references, or only a count, are wanted
    recursive: navigations expanded again in themselves, by `$levels`
    """

    select: tuple[str, ...] = ()
    expand: tuple[Expand, ...] = ()
    names: tuple[str, ...] = ()
    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    inner: Mapping[str, "Selection"] = field(default_factory=dict)
    references: frozenset[str] = frozenset()
    counts: frozenset[str] = frozenset()
    recursive: frozenset[str] = frozenset()

    def __hash__(self) -> int:
        return hash((self.select, self.names))

    @lru_cache(maxsize=512)  # noqa: B019  (selections are kept anyway, where they are read)
    def shown(self, version: str = "4.01") -> str:
        """The list in the context URL, without its parentheses.

        Version 4.0 leaves out an expanded navigation of which everything is shown.
        """
        told = [
            f"{name}/{member}" if member else name
            for name in self.names
            for member in self.members.get(name, ("",))
        ]
        for name, selection in self.inner.items():
            again = name in self.recursive
            if again:
                once = {other: one for other, one in selection.inner.items() if other != name}
                selection = replace(selection, inner=once)
            below = selection.shown(version)
            if name not in self.references | self.counts and (below or version != "4.0"):
                told.append(f"{name}{'+' if again else ''}({below})")
        return ",".join(told)

    @property
    def is_plain(self) -> bool:
        """Can rows be shown as the database writes them?"""
        special = self.members or self.references or self.counts
        return not special and all(one.is_plain for one in self.inner.values())


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in the nesting a selection is read: the set, how deep, and what bounds it."""

    feed: Feed
    dataset: Dataset
    most_columns: int
    most_levels: int
    depth: int = 0


def read_selection(
    system: Mapping[str, str], dataset: Dataset, *, feed: Feed, limits: Settings
) -> Selection:
    """What $select and $expand ask for, nested options included.

    Raises: BadOption, BadSyntax, UnknownField, NotSupported, TooComplex
    """
    place = _Place(feed, dataset, limits.limit_select, limits.limit_expand_depth)
    return _read_place(system.get("select"), system.get("expand"), place)


@lru_cache(maxsize=512)
def _read_place(select: str | None, expand: str | None, place: _Place) -> Selection:
    selection = Selection()
    if select is not None:
        selection = _read_select(select, place)
    items = parse_expand(expand) if expand is not None else ()
    named = {item.path[0] for item in items}
    for item in items:
        for one in _all_of(item, named, place):
            selection = _add_expand(selection, one, place)
    return selection


# $select


def _read_select(text: str, place: _Place) -> Selection:
    names: dict[str, str] = {}
    members: dict[str, list[str]] = {}
    items = parse_select(text)
    if len(items) > place.most_columns:
        raise TooComplex(f"$select may name {place.most_columns} columns", target="$select")
    for item in items:
        name = item.path[0]
        inside = _member_of(item, place)
        if not inside:
            members.pop(name, None)
        elif name in members or name not in names:
            members.setdefault(name, []).extend(inside)
        column = _column_of(item, place)
        if names.setdefault(name, column) != column:
            raise BadOption(f"$select names {name} more than once", target="$select")
    dataset = place.dataset
    columns = tuple(
        names[name]
        for name in names
        if dataset.navigation(name) is None and not name.startswith(OPERATIONS)
    )
    if "*" in names:
        members = {}
        fields = [f.name for f in dataset.fields]
        chosen = {name: column for name, column in names.items() if name != column}
        columns = tuple(chosen.get(name, name) for name in fields) if chosen else ()
    elif not columns:
        columns = dataset.key
    kept = {name: tuple(dict.fromkeys(inside)) for name, inside in members.items()}
    return Selection(columns, names=tuple(names), members=kept)


def _is_list(item: Item, place: _Place) -> bool:
    found = place.dataset.field(item.path[0])
    return found is not None and found.type is Type.TEXTS and len(item.path) == 1


def _column_of(item: Item, place: _Place) -> str:
    """A column as the question names it: a list with the options that choose its members."""
    if not item.options or not _is_list(item, place):
        return item.path[0]
    return f"{item.path[0]}({';'.join(_spell_option(*one) for one in item.options)})"


def _spell_option(name: str, text: str) -> str:
    return f"{name if name.startswith('@') else f'${name}'}={text}"


def _member_of(item: Item, place: _Place) -> tuple[str, ...]:
    """The names within an open object that an item selects; none for all of a column.

    Raises: NotSupported
    """
    found = place.dataset.field(item.path[0])
    is_open = found is not None and found.type is Type.OPEN
    nested = dict(item.options)
    if is_open and len(item.path) == 2 and not nested and not item.parameters:
        return () if item.path[1] == "*" else (item.path[1],)
    if is_open and len(item.path) == 1 and set(nested) == {"select"}:
        inside = tuple(one.path[0] for one in parse_select(nested["select"]))
        return () if "*" in inside else inside
    if _is_list(item, place) and not item.parameters:
        return ()
    if len(item.path) > 1 or nested or item.parameters or "@" in item.path[0]:
        raise NotSupported(
            f"$select takes columns of {place.dataset.name} itself, not {'/'.join(item.path)[:80]}",
            hint="Columns of a related set: $expand=navigation($select=column).",
            target="$select",
        )
    return ()


def select_members(text: str, name: str) -> Selection:
    """What `$select` asks of an open object of this name, where that stands alone.

    Raises: BadSyntax, BadOption, TooComplex, NotSupported
    Source: OData URL Conventions 4.01, 5.1.3
    """
    items = parse_select(text)
    if any(len(item.path) > 1 or item.options or item.parameters for item in items):
        raise NotSupported(f"$select takes members of {name} alone", target="$select")
    names = tuple(dict.fromkeys(item.path[0] for item in items))
    return Selection(names=names, members={} if "*" in names else {name: names})


# $expand


def _all_of(item: Item, named: set[str], place: _Place) -> tuple[Item, ...]:
    """The item itself; for `*`, one for each navigation that no item names, as deep as is asked.

    Source: OData URL Conventions 4.01, section 5.1.3
    """
    if item.path != ("*",):
        return (item,)
    levels = _levels_in(dict(item.options), place)
    below = (("expand", f"*($levels={levels - 1})"),) if levels > 1 else ()
    ways = (way.name for way in place.dataset.navigations if way.name not in named)
    return tuple(replace(item, path=(way,), options=below) for way in ways)


def _levels_in(nested: Mapping[str, str], place: _Place) -> int:
    """How deep `$levels` expands at a place; 1 without it.

    Raises: TooComplex
    """
    most = place.most_levels - place.depth
    asked = nested.get("levels", "1").strip().lower()
    levels = most if asked == "max" else int(asked)
    if levels > most:
        raise TooComplex(f"$levels may be {most} here", target="$levels")
    return levels


def _add_expand(selection: Selection, item: Item, place: _Place) -> Selection:
    if len(item.path) > 1 or item.path[0] == "$value":
        raise NotSupported(f"$expand={'/'.join(item.path)[:80]} is not supported", target="$expand")
    if place.depth >= place.most_levels:
        raise TooComplex(f"$expand may be {place.most_levels} deep", target="$expand")
    navigation = find_navigation(place.dataset, item.path[0])
    if navigation.name in selection.inner:
        raise BadOption(f"$expand names {navigation.name} more than once", target="$expand")
    nested = _nested_options(item, navigation)
    target = place.feed.target(navigation)
    below = replace(place, dataset=target, depth=place.depth + 1)
    spelled = _with_levels(nested, navigation, place)
    inner = _read_place(spelled.get("select"), spelled.get("expand"), below)
    if item.ending:
        inner = Selection(target.key)
    own = {navigation.name}
    return replace(
        selection,
        expand=(*selection.expand, _expand_of(item, nested, inner)),
        inner={**selection.inner, navigation.name: inner},
        references=selection.references | (own if item.ending == "$ref" else set()),
        counts=selection.counts | (own if item.ending == "$count" else set()),
        recursive=selection.recursive | (own if "levels" in nested else set()),
    )


def _expand_of(item: Item, nested: Mapping[str, str], inner: Selection) -> Expand:
    """The question for the rows behind a navigation."""
    top = int(nested["top"]) if "top" in nested else None
    wants_count = nested.get("count", "").strip().lower() == "true" or item.ending == "$count"
    return Expand(
        item.path[0],
        inner.select,
        inner.expand,
        where=nested.get("filter", ""),
        search=nested.get("search", ""),
        compute=nested.get("compute", ""),
        order=nested.get("orderby", ""),
        top=0 if item.ending == "$count" else top,
        skip=int(nested.get("skip", "0")),
        count_name=f"{item.path[0]}@odata.count" if wants_count else "",
        aliases=tuple((name, text) for name, text in nested.items() if name[0] == "@"),
    )


def _nested_options(item: Item, navigation: Navigation) -> dict[str, str]:
    """The options in the parentheses of an expanded navigation.

    Raises: NotSupported, for what is not offered there; BadOption, for `$count` of one row
    """
    nested = dict(item.options)
    for name in nested:
        if name not in (EXPANDED_ROWS if navigation.many else EXPANDED_ROW) and name[0] != "@":
            what = "" if navigation.many else " to one row"
            raise NotSupported(f"${name} in $expand{what} is not supported", target="$expand")
    if item.ending == "$count" and not navigation.many:
        raise BadOption(f"{navigation.name} leads to one row; there is no $count", target="$expand")
    return nested


def _with_levels(
    nested: Mapping[str, str], navigation: Navigation, place: _Place
) -> dict[str, str]:
    """`$levels` spelled out: the navigation expanded again in itself, as deep as is asked.

    Raises: BadOption, where the navigation does not lead to its own set; TooComplex
    """
    options = {name: text for name, text in nested.items() if name != "levels"}
    if "levels" not in nested:
        return options
    if navigation.target != place.dataset.name:
        raise BadOption(f"$levels needs a way from a set to itself, not {navigation.name}")
    levels = _levels_in(nested, place)
    if levels > 1:
        again = ";".join(_spell_option(name, text) for name, text in options.items())
        more = f"$levels={levels - 1}"
        inner = f"{navigation.name}({';'.join(filter(None, (again, more)))})"
        options["expand"] = ",".join(filter(None, (options.get("expand", ""), inner)))
    return options
