"""What callers say they can read."""

import pytest

from app.base.errors import BadOption, NotAcceptable
from app.odata.formats import (
    PageWish,
    check_xml,
    choose_metadata_level,
    choose_version,
    read_page_wish,
)

POWER_QUERY = (
    "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,"
    "application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7"
)


@pytest.mark.parametrize(
    ("accept", "asked", "level"),
    [
        ("", "", "minimal"),
        ("*/*", "", "minimal"),
        ("application/*", "", "minimal"),
        ("application/json", "", "minimal"),
        (POWER_QUERY, "", "minimal"),
        ("application/json;odata=nometadata;charset=utf-8;x", "", "minimal"),
        ("APPLICATION/JSON; ODATA.METADATA=NONE", "", "none"),
        ("application/json;metadata=none", "", "none"),
        ('application/json;odata.metadata="none"', "", "none"),
        ("application/json;odata.metadata=full, application/json;q=0.5", "", "minimal"),
        ("application/json;odata.metadata=none;q=0.1,application/json;q=0.9", "", "minimal"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "minimal"),
        ("application/xml", "json", "minimal"),
        ("application/xml", "application/json;odata.metadata=none", "none"),
    ],
)
def test_json_is_chosen(accept: str, asked: str, level: str) -> None:
    assert choose_metadata_level(accept, asked) == level


@pytest.mark.parametrize(
    ("accept", "asked"),
    [
        ("application/xml", ""),
        ("application/json;q=0", ""),
        ("application/json;odata.metadata=full", ""),
        ("application/json", "xml"),
        ("", "csv"),
        ("", "application/json;odata.metadata=full"),
    ],
)
def test_other_formats_are_not_acceptable(accept: str, asked: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_metadata_level(accept, asked)


def test_metadata_is_xml() -> None:
    for accept, asked in (("", ""), (POWER_QUERY, ""), ("application/xml", ""), ("x/y", "xml")):
        check_xml(accept, asked)
    for accept, asked in (("application/json", ""), ("", "json")):
        with pytest.raises(NotAcceptable):
            check_xml(accept, asked)


@pytest.mark.parametrize(
    ("highest", "version"), [("", "4.01"), ("4.0", "4.0"), ("4.01", "4.01"), ("5.0", "4.01")]
)
def test_the_version_is_never_above_what_the_caller_reads(highest: str, version: str) -> None:
    assert choose_version(highest, unasked="4.01") == version


@pytest.mark.parametrize("highest", ["3.0", "four"])
def test_a_caller_below_version_4_is_refused(highest: str) -> None:
    with pytest.raises(BadOption):
        choose_version(highest, unasked="4.01")


@pytest.mark.parametrize(
    ("prefer", "wish"),
    [
        ("odata.maxpagesize=50", PageWish("odata.maxpagesize", 50)),
        ("respond-async, maxpagesize=50; x=1", PageWish("maxpagesize", 50)),
        ("odata.maxpagesize=999999", PageWish("odata.maxpagesize", 1000)),
        ("odata.maxpagesize=0", None),
        ("odata.maxpagesize=many", None),
        ("return=minimal", None),
        ("", None),
    ],
)
def test_a_page_size_is_read_from_prefer(prefer: str, wish: PageWish | None) -> None:
    assert read_page_wish(prefer, most=1000) == wish


def test_a_hostile_header_is_read_in_one_pass() -> None:
    for text in ('"' + "a" * 30_000, "a" * 30_000 + " b", 'x;y="' + "z;" * 15_000, "," * 30_000):
        with pytest.raises(NotAcceptable):
            choose_metadata_level(text, "")
        assert read_page_wish(text, most=9) is None
