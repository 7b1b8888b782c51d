"""What callers say they can read."""

import pytest

from app.base.errors import BadOption, NotAcceptable
from app.odata.formats import Style, choose_style, choose_version, chooses_csdl_json

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
        ("application/json;odata=nometadata;x", "", "minimal"),
        ("APPLICATION/JSON; ODATA.METADATA=NONE", "", "none"),
        ("application/json;metadata=none", "", "none"),
        ('application/json;odata.metadata="none"', "", "none"),
        ("application/json;odata.metadata=full, application/json;q=0.5", "", "full"),
        ("application/json;odata.metadata=huge, application/json;q=0.5", "", "minimal"),
        ("application/xml", "application/json;metadata=full", "full"),
        ("application/json;odata.metadata=none;q=0.1,application/json;q=0.9", "", "minimal"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "", "minimal"),
        ("application/xml", "json", "minimal"),
        ("application/xml", "application/json;odata.metadata=none", "none"),
    ],
)
def test_json_is_chosen(accept: str, asked: str, level: str) -> None:
    assert choose_style(accept, asked, tables=False) == Style(level)


@pytest.mark.parametrize(
    ("accept", "asked"),
    [
        ("application/xml", ""),
        ("application/json;q=0", ""),
        ("application/json;odata.metadata=huge", ""),
        ("application/json", "xml"),
        ("", "csv"),
        ("text/csv", ""),
    ],
)
def test_other_formats_are_not_acceptable(accept: str, asked: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_style(accept, asked, tables=False)


@pytest.mark.parametrize(
    ("accept", "asked"), [("text/csv", ""), ("*/*", "csv"), ("text/csv;q=0.9,image/png", "")]
)
def test_a_set_can_be_a_table(accept: str, asked: str) -> None:
    assert choose_style(accept, asked, tables=True).is_csv


def test_a_browser_is_not_given_a_table() -> None:
    assert not choose_style("text/html,*/*;q=0.8", "", tables=True).is_csv


@pytest.mark.parametrize(
    ("parameters", "media_type"),
    [
        (";IEEE754Compatible=true", "odata.metadata=minimal;IEEE754Compatible=true"),
        (";ieee754compatible=TRUE;metadata=full", "odata.metadata=full;IEEE754Compatible=true"),
        (";odata.streaming=true", "odata.metadata=minimal;odata.streaming=true"),
        (";charset=utf-8", "odata.metadata=minimal;charset=utf-8"),
        (";IEEE754Compatible=false", "odata.metadata=minimal"),
    ],
)
def test_format_parameters_are_repeated_where_they_are_followed(
    parameters: str, media_type: str
) -> None:
    style = choose_style(f"application/json{parameters}", "", tables=False)
    assert style.media_type == f"application/json;{media_type}"


def test_metadata_is_xml_unless_only_json_is_read() -> None:
    both = "application/json, application/xml;q=0.1"
    for accept, asked in (
        ("", ""),
        (POWER_QUERY, ""),
        (both, ""),
        ("application/json, */*", ""),
        ("application/xml", ""),
        ("x/y", "xml"),
    ):
        assert not chooses_csdl_json(accept, asked)
    for accept, asked in (
        ("application/json", ""),
        ("application/json, */*;q=0.1", ""),
        ("", "json"),
        ("application/xml", "application/json"),
    ):
        assert chooses_csdl_json(accept, asked)
    for accept, asked in (("image/png", ""), ("", "csv"), ("application/json;q=0", "")):
        with pytest.raises(NotAcceptable):
            chooses_csdl_json(accept, asked)


@pytest.mark.parametrize(
    ("highest", "version"), [("", "4.01"), ("4.0", "4.0"), ("4.01", "4.01"), ("5.0", "4.01")]
)
def test_the_version_is_never_above_what_the_caller_reads(highest: str, version: str) -> None:
    assert choose_version(highest, unasked="4.01") == version


@pytest.mark.parametrize("highest", ["3.0", "four"])
def test_a_caller_below_version_4_is_refused(highest: str) -> None:
    with pytest.raises(BadOption):
        choose_version(highest, unasked="4.01")


def test_a_hostile_header_is_read_in_one_pass() -> None:
    for text in ('"' + "a" * 30_000, "a" * 30_000 + " b", 'x;y="' + "z;" * 15_000, "," * 30_000):
        with pytest.raises(NotAcceptable):
            choose_style(text, "", tables=True)
