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
        ("application/json;charset=utf-16, application/json;metadata=none;q=0.1", "", "none"),
        ("application/json;metadata=full;streaming=maybe, */*;q=0.1", "", "minimal"),
        ("application/*;q=0, application/json", "", "minimal"),
        ("*/*;q=0, application/json;q=0.1", "", "minimal"),
        ("application/json;q=0, application/json;metadata=full", "", "full"),
        ("application/json;metadata=full;q=0, */*", "", "minimal"),
        ("text/csv;q=0, */*", "", "minimal"),
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
        ("application/json;q=0, */*;q=0.5", ""),
        ("application/json;q=0.0, application/*", ""),
        ("application/*;q=0, */*", ""),
        ("application/json;metadata=minimal;q=0, application/json", ""),
        ("application/json;charset=utf-16", ""),
        ("*/*;charset=utf-16", ""),
        ("", "application/json;charset=utf-16"),
        ("application/json;IEEE754Compatible=yes", ""),
        ("application/json;odata.streaming=", ""),
        ("application/json;ExponentialDecimals=maybe", ""),
    ],
)
def test_other_formats_are_not_acceptable(accept: str, asked: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_style(accept, asked, tables=False)


@pytest.mark.parametrize(
    ("accept", "asked"),
    [
        ("text/csv", ""),
        ("*/*", "csv"),
        ("text/csv;q=0.9,image/png", ""),
        ("application/json;q=0, */*", ""),
        ("application/json;charset=utf-16, text/csv;charset=UTF-8;q=0.5", ""),
    ],
)
def test_a_set_can_be_a_table(accept: str, asked: str) -> None:
    assert choose_style(accept, asked, tables=True).is_csv


@pytest.mark.parametrize(
    "accept", ["text/csv;charset=utf-16", "text/csv;q=0, text/*", "text/csv;q=0, */*;charset=x"]
)
def test_a_table_that_is_refused_is_not_given(accept: str) -> None:
    with pytest.raises(NotAcceptable):
        choose_style(accept, "", tables=True)


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
        ("application/json;q=0, */*", ""),
        ("application/json;charset=utf-16, */*;q=0.1", ""),
        ("application/*;q=0, application/xml;q=0.1", ""),
    ):
        assert not chooses_csdl_json(accept, asked, version="4.01")
    for accept, asked in (
        ("application/json", ""),
        ("application/json, */*;q=0.1", ""),
        ("", "json"),
        ("application/xml", "application/json"),
        ("application/xml;q=0, */*", ""),
        ("application/json, application/xml;charset=utf-16", ""),
    ):
        assert chooses_csdl_json(accept, asked, version="4.01")
    for accept, asked in (
        ("image/png", ""),
        ("", "csv"),
        ("application/json;q=0", ""),
        ("application/xml;q=0, application/json;q=0, */*", ""),
        ("application/*;q=0, */*", ""),
        ("application/xml;charset=utf-16", ""),
    ):
        with pytest.raises(NotAcceptable):
            chooses_csdl_json(accept, asked, version="4.01")


def test_there_is_no_json_of_metadata_in_version_4_0() -> None:
    for accept in ("", "*/*", "application/json, application/xml", "application/json, */*;q=0.1"):
        assert not chooses_csdl_json(accept, "", version="4.0")
    for accept, asked in (
        ("application/json", ""),
        ("application/xml", "json"),
        ("application/xml;q=0, */*", ""),
    ):
        with pytest.raises(NotAcceptable, match="came with version"):
            chooses_csdl_json(accept, asked, version="4.0")


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
    refused = "application/json;metadata=none;q=0," * 900 + "application/json;q=0,text/csv;q=0"
    with pytest.raises(NotAcceptable):
        choose_style("*/*," * 8_000 + refused, "", tables=True)
