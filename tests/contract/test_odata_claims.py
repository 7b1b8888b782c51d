"""The conformance table of docs/odata.md: complete, and no claim without a test that exists."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"\| ((?:4\.0|4\.01|agg)-[a-z0-9.-]+) \| (.+?) \| (.+?) \| (.+?) \|")
NAMED = re.compile(r"`(test_\w+\.py)::(test_\w+)`")
# How many numbers each level has, and those with numbers below them (Protocol 4.01, 13.1).
LEVELS = {
    "4.0-min": (17, {}),
    "4.0-int": (17, {7: 5}),
    "4.0-adv": (16, {9: 9}),
    "4.01-min": (17, {9: 14}),
    "4.01-int": (11, {}),
    "4.01-adv": (10, {5: 5}),
    "agg": (2, {}),
}


@cache
def claims() -> tuple[tuple[str, ...], ...]:
    """Number, what is asked, whether it is so, and its test, of each row."""
    text = (ROOT / "docs" / "odata.md").read_text("utf-8")
    return tuple(match.groups() for match in ROW.finditer(text))


@cache
def names_in_file(name: str) -> frozenset[str]:
    """The tests in the files of this name."""
    paths = list((ROOT / "tests").rglob(name))
    return frozenset(
        node.name
        for path in paths
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
    )


def numbers() -> Iterator[str]:
    """Every number the standard has."""
    for level, (count, below) in LEVELS.items():
        for number in range(1, count + 1):
            yield f"{level}-{number}"
            yield from (f"{level}-{number}.{n}" for n in range(1, below.get(number, 0) + 1))


def test_the_table_has_every_number_of_the_standard_once() -> None:
    assert [claim[0] for claim in claims()] == list(numbers())


def test_every_claim_names_a_test_that_exists() -> None:
    wrong = []
    for number, asked, answer, test in claims():
        named = NAMED.findall(test)
        is_claim = answer == "yes" or answer.startswith("partly: ")
        if not is_claim and answer not in {"no", "n/a"}:
            wrong.append(f"{number}: {answer!r} is no answer")
        if is_claim is not bool(named):
            wrong.append(f"{number}: claims and tests go together")
        if not asked.startswith(("MUST", "SHOULD", "MAY")):
            wrong.append(f"{number}: how strongly is it asked?")
        wrong += [
            f"{number}: no {file}::{name}"
            for file, name in named
            if name not in names_in_file(file)
        ]
    assert not wrong, "\n".join(wrong)


def test_a_level_is_whole_where_no_must_of_it_is_missing() -> None:
    missing = {
        number.rpartition("-")[0]
        for number, asked, answer, _ in claims()
        if asked.startswith("MUST") and (answer == "no" or answer.startswith("partly"))
    }
    text = (ROOT / "docs" / "odata.md").read_text("utf-8")
    told = re.search(r"Whole are the levels (.+?)\.\s", text)
    assert told is not None
    assert set(re.findall(r"`([\w.-]+)`", told[1])) == set(LEVELS) - missing - {"agg"}
