"""Sequences of transformations: SQL on each database gives what Python does, page by page."""

import os
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from app.base.config import Settings
from app.query.answer import run_plan
from app.query.plan import make_plan
from app.query.request import Request
from tests.builders import NOON, a_caller, rows_of, some_settings
from tests.property.pipelines import Piece, Row, base_table, pieces
from tests.property.rows import World

SETTINGS: Settings = some_settings().model_copy(update={"limit_apply_steps": 20})
EXAMPLES = int(os.environ.get("FULLCOUNT_TEST_EXAMPLES", "150"))


def spread(row: dict[str, Any], before: str = "") -> Row:
    """An answer's row with the columns of its objects beside the others."""
    found: Row = {}
    for name, value in row.items():
        found |= spread(value, f"{name}/") if isinstance(value, dict) else {before + name: value}
    return found


def walk_pages(world: World, kind: str, text: str, page_rows: int) -> tuple[list[Row], int]:
    """All rows of a question, read page by page, and the count it gives."""
    caller, after = a_caller(world.environment_ids[kind]), ""
    found: list[Row] = []
    while True:
        request = Request(
            "LearnerProgress", apply=text, page_rows=page_rows, after=after, count=True
        )
        answer = run_plan(make_plan(request, caller, SETTINGS), world.stores[kind], now=NOON)
        found += rows_of(answer)
        if answer.next is None:
            return [spread(row) for row in found], answer.total or 0
        after = answer.next


def wanted_rows(piece: Piece) -> list[Row]:
    """What the answer should hold."""
    return piece.table.sorted_rows() if not piece.is_loose else list(piece.table.rows)


def sort_loosely(rows: list[Row]) -> list[str]:
    """Rows whatever their order; whole numbers may be written with a point or without."""
    told = [
        {n: v if v is None or isinstance(v, str) else float(v) for n, v in r.items()} for r in rows
    ]
    return sorted(str(sorted(row.items())) for row in told)


@examples(
    max_examples=EXAMPLES,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_any_sequence_gives_what_python_does_on_every_database(
    world: World, data: st.DataObject
) -> None:
    piece = data.draw(pieces(base_table(world.fields.values())), label="piece")
    page_rows = data.draw(st.integers(1, 30), label="page_rows")
    wanted = wanted_rows(piece)
    names = {name for row in wanted for name in row}
    if "assignment_id" in names:
        # Rows of the set itself: what is behind ways is not among their columns.
        names = {name for name in names if "/" not in name}
    told = [{n: v for n, v in row.items() if n in names} for row in wanted]
    for kind in world.stores:
        found, total = walk_pages(world, kind, piece.text, page_rows)
        shown = [{n: v for n, v in row.items() if n in names} for row in found]
        assert total == len(found) == len(wanted), (kind, piece.text)
        if piece.is_loose:
            assert sort_loosely(shown) == sort_loosely(told), (kind, piece.text)
        else:
            assert shown == told, (kind, piece.text)
