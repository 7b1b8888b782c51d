"""What a known plan saves: requests of one form whose literals differ, in this process."""

from functools import partial
from statistics import median

from app.query.grammar import parse_expression
from app.query.sql import count_statement, edge_statement, rows_statement
from bench.inside import Inside
from bench.measure import Figure
from bench.questions import SET, encode_query

_ASKED = 100
_COLUMNS = ("status", "due_at", "completed_at", "passed", "attempts", "score", "points", "reason")


def run_known(inside: Inside) -> list[Figure]:
    """Processor time of first and later requests, and how often something was read or written."""
    forms = [
        f"{SET}?$select=assignment_id,learner_key,{name}&$filter=learner_key eq 'u{{0}}'"
        " and module_type ne 'quest'"
        for name in _COLUMNS
    ]
    inside.ask_timed([encode_query(f"{SET}?$top=1")] * 20)
    first, later, same = [], [], []
    for form in forms:
        asked = [encode_query(form.format(number)) for number in range(5)]
        first.append(inside.ask_timed(asked[:1]))
        later.append(inside.ask_timed(asked[1:]))
        same.append(inside.ask_timed([asked[0]] * 4))
    others = [encode_query(forms[0].format(number)) for number in range(1_000, 1_000 + _ASKED)]
    written = _count_misses(partial(inside.ask_timed, others))
    again = _count_misses(partial(inside.ask_timed, [others[-1]] * _ASKED))
    return [
        Figure("first request of a form, processor time", median(first) * 1e3, "ms"),
        Figure("the next with other literals", median(later) * 1e3, "ms"),
        Figure("the same request once more", median(same) * 1e3, "ms"),
        Figure("next / first", median(later) / median(first), "ratio", 0.5, at_most=True),
        Figure(f"{_ASKED} with other literals: statements", written[1], "", 0, at_most=True),
        Figure(f"{_ASKED} times the same: expressions read", again[0], "", 0, at_most=True),
        Figure(f"{_ASKED} times the same: statements written", again[1], "", 0, at_most=True),
    ]


def _count_misses(run: partial[float]) -> tuple[int, int]:
    """How many expressions were parsed and statements compiled, for want of known ones."""

    def count() -> tuple[int, int]:
        statements = (rows_statement, edge_statement, count_statement)
        compiled = sum(statement.cache_info().misses for statement in statements)
        return parse_expression.cache_info().misses, compiled

    before = count()
    run()
    after = count()
    return after[0] - before[0], after[1] - before[1]
