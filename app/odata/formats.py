"""What the caller can read: Accept and $format, OData-MaxVersion, Prefer.

Parameters nobody here knows are ignored, as clients send many (OData JSON Format 4.01, 3).
"""

import re
from dataclasses import dataclass

from app.base.errors import BadOption, NotAcceptable

VERSION = re.compile(r"\s*([0-9]{1,3})\.([0-9]{1,3})\s*")
JSON_TYPES = ("application/json", "application/*", "*/*")
XML_TYPES = ("application/xml", "application/*", "*/*")
NO_JSON = "this is answered as application/json with odata.metadata=minimal or none"
NO_XML = "$metadata is answered as application/xml"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept list.

    quality: 0 to 1, the caller's liking
    """

    type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float

    @property
    def metadata(self) -> str:
        """How much control information it asks for; the prefix went with version 4.01."""
        asked = dict(self.parameters)
        return asked.get("odata.metadata", asked.get("metadata", "minimal"))


def read_accept(text: str) -> tuple[MediaRange, ...]:
    """The entries of an Accept header, best first; equal ones keep their order."""
    ranges = [read_range(part) for part in split_unquoted(text, ",")]
    return tuple(sorted((r for r in ranges if r.quality > 0), key=lambda r: -r.quality))


def read_range(text: str) -> MediaRange:
    """One media range with its parameters; a quality that cannot be read counts as 1."""
    name, *rest = split_unquoted(text, ";")
    parameters = []
    quality = 1.0
    for part in rest:
        key, _, raw = part.partition("=")
        key, value = key.strip().lower(), raw.strip().strip('"').lower()
        if key == "q":
            quality = float(value) if re.fullmatch(r"[01](\.[0-9]{0,3})?", value) else 1.0
            break
        parameters.append((key, value))
    return MediaRange(name.strip().lower(), tuple(parameters), quality)


def split_unquoted(text: str, separator: str) -> list[str]:
    """The parts of a header that are not blank, split where the separator is not in quotes.

    Goes over the text once, whatever it holds.
    """
    parts, start, quoted = [], 0, False
    for index, sign in enumerate(text):
        if sign == '"':
            quoted = not quoted
        elif sign == separator and not quoted:
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    return [part for part in parts if part.strip()] or [""]


def choose_metadata_level(accept: str, asked: str) -> str:
    """How much control information a JSON answer carries: `minimal` or `none`.

    asked: the value of $format, which outweighs the header
    Raises: NotAcceptable
    """
    if asked:
        accept = "application/json" if asked.lower() == "json" else asked
    ranges = read_accept(accept or "*/*")
    for one in ranges:
        if one.type in JSON_TYPES and one.metadata in {"minimal", "none"}:
            return one.metadata
    raise NotAcceptable(NO_JSON)


def check_xml(accept: str, asked: str) -> None:
    """Refuse a caller who does not read XML, for $metadata.

    Raises: NotAcceptable
    """
    if asked:
        accept = "application/xml" if asked.lower() == "xml" else asked
    ranges = read_accept(accept or "*/*")
    if not any(one.type in XML_TYPES for one in ranges):
        raise NotAcceptable(NO_XML)


def choose_version(highest: str, *, unasked: str) -> str:
    """The version of the answer: 4.0 or 4.01, never above what the caller reads.

    highest: the OData-MaxVersion header; empty when there is none
    Raises: BadOption, for callers who stop below 4.0
    Source: OData Protocol 4.01, 8.2.7
    """
    if not highest.strip():
        return unasked
    match = VERSION.fullmatch(highest)
    if match is None or int(match[1]) < 4:
        raise BadOption("OData-MaxVersion must be 4.0 or 4.01", target="OData-MaxVersion")
    return "4.0" if (match[1], match[2]) in {("4", "0"), ("4", "00")} else "4.01"


@dataclass(frozen=True, slots=True)
class PageWish:
    """The caller's wish for a page size.

    name: the preference as it was spelled, to be repeated in Preference-Applied
    """

    name: str
    rows: int


def read_page_wish(prefer: str, *, most: int) -> PageWish | None:
    """The page size wished for in a Prefer header, at most `most`; None without a usable one."""
    for part in split_unquoted(prefer, ","):
        name, _, value = part.partition("=")
        name, value = name.strip().lower(), value.partition(";")[0].strip().strip('"')
        if name in {"odata.maxpagesize", "maxpagesize"} and re.fullmatch(r"[0-9]{1,18}", value):
            return PageWish(name, min(int(value), most)) if int(value) > 0 else None
    return None
