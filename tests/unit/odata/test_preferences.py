"""What callers wish for in Prefer."""

import pytest

from app.base.errors import BadOption
from app.odata.preferences import Preferences, read_preferences, write_applied


def wishes(prefer: str) -> Preferences:
    """The preferences of a header, with pages of at most 1,000 rows."""
    return read_preferences(prefer, most_rows=1000)


@pytest.mark.parametrize(
    ("prefer", "rows", "name"),
    [
        ("odata.maxpagesize=50", 50, "odata.maxpagesize"),
        ("return=minimal, maxpagesize=50; x=1", 50, "maxpagesize"),
        ("odata.maxpagesize=999999", 1000, "odata.maxpagesize"),
        ("odata.maxpagesize=0", None, "odata.maxpagesize"),
        ("odata.maxpagesize=many", None, "odata.maxpagesize"),
        ("MaxPageSize=7", 7, "maxpagesize"),
        ("return=minimal", None, "maxpagesize"),
        ("", None, "maxpagesize"),
    ],
)
def test_a_page_size_is_read(prefer: str, rows: int | None, name: str) -> None:
    assert (wishes(prefer).page_rows, wishes(prefer).page_name) == (rows, name)


def test_what_is_said_twice_counts_the_first_time() -> None:
    assert wishes("maxpagesize=1, maxpagesize=2").page_rows == 1
    assert wishes("odata.maxpagesize=1, odata.maxpagesize=2").page_rows == 1


def test_a_name_without_its_prefix_counts_before_one_with_it() -> None:
    for prefer in ("maxpagesize=3, odata.maxpagesize=2", "odata.maxpagesize=2,maxpagesize=3"):
        assert (wishes(prefer).page_rows, wishes(prefer).page_name) == (3, "maxpagesize")
    both = 'odata.include-annotations="*", include-annotations="-*"'
    assert wishes(both).annotations == ("-*",)


def test_other_wishes_are_read() -> None:
    assert wishes("omit-values=nulls").omit_nulls
    assert not wishes("omit-values=defaults").omit_nulls
    asked = wishes("respond-async, wait=5")
    assert (asked.respond_async, asked.wait_s) == (True, 5)
    assert wishes("respond-async, wait=99999").wait_s == 10
    assert wishes("wait=5").respond_async is False


@pytest.mark.parametrize(
    ("prefer", "goes_on"),
    [
        ("", None),
        ("continue-on-error", True),
        ("odata.continue-on-error=true", True),
        ("continue-on-error=FALSE", False),
    ],
)
def test_a_batch_may_go_on_or_stop(prefer: str, goes_on: bool | None) -> None:
    assert wishes(prefer).continue_on_error is goes_on


@pytest.mark.parametrize(
    ("patterns", "verdict", "streams"),
    [
        ("*", True, True),
        ("-*", False, False),
        ("fullcount.*", True, True),
        ("display.*", False, False),
        ("fullcount.verdict", True, False),
        ("-fullcount.streams", True, False),
        ("-*,fullcount.verdict", True, False),
        ("fullcount.*,-fullcount.streams", True, False),
        ("", True, True),
    ],
)
def test_the_most_specific_pattern_says_which_annotations_come(
    patterns: str, verdict: bool, streams: bool
) -> None:
    asked = wishes(f'odata.include-annotations="{patterns}"')
    assert asked.wants("fullcount.verdict") is verdict
    assert asked.wants("fullcount.streams") is streams


def test_unknown_wishes_are_ignored_unless_the_caller_is_strict() -> None:
    assert wishes("make-coffee, maxpagesize=3").page_rows == 3
    with pytest.raises(BadOption, match="make-coffee"):
        wishes("make-coffee, handling=strict")
    assert wishes("handling=strict, maxpagesize=3").is_strict


def test_a_hostile_header_is_read_in_one_pass() -> None:
    for text in ('"' + "a" * 30_000, "a" * 30_000 + " b", 'x;y="' + "z;" * 15_000, "," * 30_000):
        assert wishes(text).page_rows is None
    assert wishes(f'include-annotations="{"*a" * 5_000}"').wants("b" * 50) is False


def test_only_what_was_granted_is_said() -> None:
    assert write_applied(["a=1", "b"]) == {"Preference-Applied": "a=1, b"}
    assert write_applied([]) == {}
