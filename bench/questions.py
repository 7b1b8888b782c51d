"""What the feed is asked in benchmarks, and the SQL that somebody would write by hand for it."""

from dataclasses import dataclass
from urllib.parse import quote

SET = "/odata/v4/LearnerProgress"
_FEW = ("learner_key", "module_key", "status", "percent_complete", "completed_at")
_SHOWN = (
    *("assignment_id", "learner_key", "module_key", "module_type"),
    *("status", "percent_complete", "due_at", "completed_at"),
)
_LEARNER = ("learner_id", "learner_key", "status", "team_key", "department", "location")
_MODULE = ("module_id", "module_key", "name", "module_type", "version")
_MODULES = 400


@dataclass(frozen=True, slots=True)
class Walked:
    """Rows to be fetched page by page.

    options: the query string
    """

    name: str
    options: str = ""

    @property
    def path(self) -> str:
        """Of the first page."""
        return f"{SET}?{encode_query(self.options)}" if self.options else SET


@dataclass(frozen=True, slots=True)
class Small:
    """A request for little, each time for something else.

    path: with `{0}` where a number is told
    by_hand: SQL whose one value is what the answer holds; its `?` is that number, or a text with it
    given: that text; empty for the number
    most: how many numbers there are
    """

    name: str
    path: str
    by_hand: str
    given: str = ""
    most: int = 1

    def asked(self, number: int) -> str:
        """The path with a number."""
        return encode_query(self.path.format(number % self.most + 1))

    def value(self, number: int) -> str | int:
        """What is bound to the SQL by hand for that path."""
        told = number % self.most + 1
        return self.given.format(told) if self.given else told


def encode_query(text: str) -> str:
    """A path and query as they stand in a request."""
    return quote(text, safe="/?&=$(),*';@:")


def _pairs_of(columns: tuple[str, ...], table: str) -> str:
    return ", ".join(f"'{name}', {table}.{name}" for name in columns)


def _rows_by_hand(*, where: str = "", order: str = "", most: int) -> str:
    return f"""
        select group_concat(j, ',') from (
            select json_object({_pairs_of(_SHOWN, "p")}) as j from progress p
            where p.environment_id = 1 and not p.is_deleted {where}
            order by {order}p.assignment_id limit {most})
    """


_NAMES = ",".join(_SHOWN)
WALKED = (
    Walked("all fields"),
    Walked("5 fields", f"$select={','.join(_FEW)}"),
    Walked("filtered", "$filter=module_type eq 'quest' and status eq 'completed'"),
    Walked("learner and module expanded", "$expand=learner,module"),
    Walked("attempts expanded", "$expand=attempts_made"),
)
SMALL = (
    Small("first 1,000 rows", f"{SET}?$select={_NAMES}&$top=1000", _rows_by_hand(most=1_000)),
    Small(
        "filter, order, first 100",
        f"{SET}?$select={_NAMES}&$filter=module_key eq 'm{{0}}'&$orderby=due_at desc&$top=100",
        _rows_by_hand(where="and p.module_key = ?", order="p.due_at desc, ", most=100),
        given="m{0}",
        most=_MODULES - 1,
    ),
    Small(
        "one row by its key",
        f"{SET}({{0}})?$select={_NAMES}",
        _rows_by_hand(where="and p.assignment_id = ?", most=1),
        most=100_000,
    ),
    Small(
        "filtered $count",
        f"{SET}/$count?$filter=learner_key eq 'u{{0}}'",
        "select count(*) from progress where environment_id = 1 and not is_deleted"
        " and learner_key = ?",
        given="u{0}",
        most=2_000,
    ),
)
EXPANDED = Small(
    "learner and module expanded, 1,000 rows",
    f"{SET}?$select={_NAMES}&$top=1000&$expand=learner($select={','.join(_LEARNER)}),"
    f"module($select={','.join(_MODULE)})",
    f"""
    select group_concat(j, ',') from (
        select json_object({_pairs_of(_SHOWN, "p")},
            'learner', case when l.learner_key is not null
                then json_object({_pairs_of(_LEARNER, "l")}) end,
            'module', case when m.module_key is not null
                then json_object({_pairs_of(_MODULE, "m")}) end
        ) as j
        from progress p
        left join learner l on l.environment_id = 1 and l.learner_key = p.learner_key
            and not l.is_deleted
        left join module m on m.environment_id = 1 and m.module_key = p.module_key
            and not m.is_deleted
        where p.environment_id = 1 and not p.is_deleted order by p.assignment_id limit 1000)
    """,
)
