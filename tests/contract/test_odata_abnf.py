"""The standard's own test cases for its grammar: what is valid is read, what is not is refused.

The cases are those that the OASIS OData TC publishes (repository oasis-tcs/odata-abnf); they are
read from where they lie, `../shared/data/odata-abnf` or `$FULLCOUNT_TEST_DATA/odata-abnf`, and no
copy of them is kept here.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from app.base.errors import AppError
from app.query.grammar import parse_compute, parse_expression, parse_orderby
from app.query.searches import parse_search
from app.query.selections import parse_expand, parse_select
from app.query.steps import parse_apply

BESIDE = Path(__file__).resolve().parents[3] / "shared" / "data"
DATA = Path(os.environ.get("FULLCOUNT_TEST_DATA", BESIDE))
CASES = DATA / "odata-abnf" / "odata-abnf-testcases.yaml"
AGGREGATION = DATA / "odata-abnf" / "odata-aggregation-testcases.yaml"
Reader = Callable[[str], Any]

OPTIONS: dict[str, Reader] = {
    "filter": parse_expression,
    "orderby": parse_orderby,
    "select": parse_select,
    "expand": parse_expand,
    "search": parse_search,
    "compute": parse_compute,
}
EXPRESSIONS = {
    "commonExpr",
    "boolCommonExpr",
    "boolcommonExpr",
    "firstMemberExpr",
    "propertyPathExpr",
    "isofExpr",
    "notExpr",
}
URLS = {"queryOptions", "systemQueryOption", "odataRelativeUri", "odataUri"}

# Cases that are read otherwise than the standard says, each with its reason.
EXCEPTIONS = {
    "$filter= true": "a blank after the equals sign is taken; clients send one",
    "$search=#1": "a fragment is cut off by whoever opens the URL, before any option is read",
    "$search=more&more": "options are split at & before any is read: the second is not ours",
    "$search=a;b": "values are decoded before they are read, where ; and %3B are the same",
    "$expand=Manager($search=a%3Bb)": "the same; a ; within quotes is taken",
}


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its input, what reads its parts, and whether it is valid."""

    text: str
    parts: tuple[tuple[Reader, str], ...]
    valid: bool


def parts_of(rule: str, text: str) -> list[tuple[Reader, str]]:
    """The parts of an input that our grammar reads, each with its reader."""
    if rule in EXPRESSIONS:
        return [(parse_expression, unquote(text))]
    if rule == "anyExpr":
        return [(parse_expression, "Items/" + unquote(text))]
    if rule == "searchExpr":
        return [(parse_search, unquote(text))]
    if rule.lower() not in OPTIONS and rule not in URLS:
        return []
    if rule in {"odataRelativeUri", "odataUri"}:
        if text.startswith("$entity"):
            # Which options may stand there is not a matter of their own grammar.
            return []
        text = text.partition("?")[2].partition("#")[0]
    found = []
    for option in text.split("&"):
        name, _, value = option.partition("=")
        reader = OPTIONS.get(unquote(name).removeprefix("$").lower())
        if reader is not None:
            found.append((reader, unquote(value)))
    return found


def load_cases() -> list[Case]:
    """Every case that our grammar has a say in."""
    if not CASES.exists():
        return []
    # The file has tabs where YAML allows none.
    plain = CASES.read_text("utf-8").replace("\t", "%09")
    found = []
    for case in yaml.load(plain, Loader=yaml.BaseLoader)["TestCases"]:  # noqa: S506 (texts only)
        parts = parts_of(case["Rule"], case["Input"])
        if parts:
            found.append(Case(case["Input"], tuple(parts), "FailAt" not in case))
    return found


LOADED = load_cases()
MISSING = "the folder of the standard's test cases is not there"
needs_cases = pytest.mark.skipif(not LOADED, reason=MISSING)


def refusal_of(case: Case) -> AppError | None:
    """How a case is refused, or None when every part of it is read."""
    for reader, text in case.parts:
        try:
            reader(text)
        except AppError as error:
            return error
    return None


@needs_cases
def test_every_valid_case_is_read_and_every_other_refused() -> None:
    wrong = {}
    for case in LOADED:
        refusal = refusal_of(case)
        if (refusal is None) != case.valid and case.text not in EXCEPTIONS:
            wrong[case.text] = "read" if refusal is None else refusal.detail
    assert wrong == {}


@needs_cases
def test_the_cases_are_as_many_as_the_standard_has() -> None:
    assert sum(case.valid for case in LOADED) >= 350
    assert sum(not case.valid for case in LOADED) >= 20


@needs_cases
def test_every_exception_is_a_case_that_still_needs_it() -> None:
    known = {case.text: case for case in LOADED}
    for text in EXCEPTIONS:
        assert (refusal_of(known[text]) is None) != known[text].valid, text


@needs_cases
def test_what_is_refused_is_the_callers_fault_and_short() -> None:
    for case in LOADED:
        refusal = refusal_of(case)
        if refusal is not None:
            assert refusal.status == 400, case.text
            assert len(refusal.detail) < 200, case.text


# Data Aggregation

# Valid sequences that are refused, and wrong ones that only a look at the names can refuse.
APPLY_EXCEPTIONS = {
    "aggregate(Self.DigitalProduct with Custom.discount as Stuff)": "no type is derived here",
    "aggregate(Sales/Amount sub Sales/Cost with sum as TotalAmount)": "Sales leads to several",
    "aggregate(Amount as Total)": "Amount is no custom aggregate",
    "aggregate(Amount)": "Amount is no custom aggregate",
    "groupby((Product/Price/Quantity))": "Price leads nowhere",
    "groupby((Sales/Product/Name))": "Sales leads to several",
}


def load_sequences() -> list[tuple[str, bool]]:
    """Every `$apply` among the cases, and whether it is valid."""
    if not AGGREGATION.exists():
        return []
    found = []
    cases = yaml.load(AGGREGATION.read_text("utf-8"), Loader=yaml.BaseLoader)  # noqa: S506
    for case in cases["TestCases"]:
        text = case["Input"]
        query = text if text.startswith("$") and "=" in text else text.partition("?")[2]
        for option in query.partition("?")[2].split("&") if "?$" in query else query.split("&"):
            name, _, value = option.partition("=")
            if name == "$apply":
                found.append((unquote(value), "FailAt" not in case))
    return found


SEQUENCES = load_sequences()


def refusal_of_sequence(text: str) -> AppError | None:
    """How a sequence is refused, or None when it is read."""
    try:
        parse_apply(text, 99)
    except AppError as error:
        return error
    return None


@pytest.mark.skipif(not SEQUENCES, reason=MISSING)
def test_every_valid_sequence_is_read_or_refused_by_the_name_of_what_is_not_built() -> None:
    wrong = {}
    for text, valid in SEQUENCES:
        refusal = refusal_of_sequence(text)
        is_read = refusal is None or refusal.status == 501
        if text not in APPLY_EXCEPTIONS and (not is_read if valid else refusal is None):
            wrong[text] = "read" if refusal is None else refusal.detail
    assert wrong == {}
    assert sum(valid and refusal_of_sequence(text) is None for text, valid in SEQUENCES) >= 85
    assert sum(not valid for _, valid in SEQUENCES) >= 20


@pytest.mark.skipif(not SEQUENCES, reason=MISSING)
def test_every_exception_is_a_sequence_that_still_needs_it() -> None:
    known = dict(SEQUENCES)
    for text in APPLY_EXCEPTIONS:
        assert (refusal_of_sequence(text) is None) != known[text], text
