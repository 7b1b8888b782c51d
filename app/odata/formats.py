"""What the caller can read: Accept and $format, OData-MaxVersion.

Parameters nobody here knows are ignored, as clients send many (OData JSON Format 4.01, 3).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from app.base.errors import BadOption, NotAcceptable

VERSION = re.compile(r"\s*([0-9]{1,3})\.([0-9]{1,3})\s*")
JSON_TYPES = ("application/json", "application/*", "*/*")
CSV_TYPES = ("text/csv", "text/*", "*/*")
XML_TYPES = ("application/xml", "application/*", "*/*")
LEVELS = ("minimal", "full", "none")
SWITCH = ("false", "true")
# The format parameters we know, with the values that can be served.
SERVED = {
    "metadata": LEVELS,
    "ieee754compatible": SWITCH,
    "streaming": SWITCH,
    "exponentialdecimals": SWITCH,
    "charset": ("utf-8", "utf8"),
}
NO_JSON = "this is answered as application/json in UTF-8"
NO_ROWS = "this is answered as application/json or text/csv in UTF-8"
NO_CSDL = "$metadata is answered as application/xml or application/json"
NO_OLD_JSON = "$metadata as JSON came with version 4.01"
CSV_TYPE = "text/csv;charset=utf-8;header=present"


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One entry of an Accept list.

    quality: 0 to 1, the caller's liking
    """

    type: str
    parameters: tuple[tuple[str, str], ...]
    quality: float

    def asked(self, name: str, otherwise: str) -> str:
        """The value of a format parameter; the prefix went with version 4.01."""
        asked = dict(self.parameters)
        return asked.get(f"odata.{name}", asked.get(name, otherwise))

    @property
    def metadata(self) -> str:
        """How much control information it asks for."""
        return self.asked("metadata", "minimal")

    @property
    def is_served(self) -> bool:
        """Can each parameter we know be followed? (Protocol 4.01, 8.2.1)"""
        return all(self.asked(name, values[0]) in values for name, values in SERVED.items())


@dataclass(frozen=True, slots=True)
class Style:
    """How an answer is written.

    level: how much control information: `minimal`, `full` or `none`
    numbers_as_text: whole numbers of 64 bits as text, for readers whose numbers are doubles
    streaming: did the caller ask for members in the order of streams? They always are
    is_csv: a table instead of JSON
    tells_charset: did the caller name one? It is told to nobody else (Protocol 4.01, 8.2.1)
    """

    level: str = "minimal"
    numbers_as_text: bool = False
    streaming: bool = False
    is_csv: bool = False
    tells_charset: bool = False

    @property
    def media_type(self) -> str:
        """The Content-Type of the answer."""
        if self.is_csv:
            return CSV_TYPE
        more = ";odata.streaming=true" if self.streaming else ""
        more += ";IEEE754Compatible=true" if self.numbers_as_text else ""
        more += ";charset=utf-8" if self.tells_charset else ""
        return f"application/json;odata.metadata={self.level}{more}"


def read_accept(text: str) -> tuple[MediaRange, ...]:
    """The entries of an Accept header, best first; equal ones keep their order."""
    return tuple(one for one in read_ranges(text) if one.quality)


def read_ranges(text: str) -> list[MediaRange]:
    """The same, and behind them those of quality 0, which are not acceptable."""
    ranges = [read_range(part) for part in split_unquoted(text, ",")]
    return sorted(ranges, key=lambda one: -one.quality)


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


@lru_cache(maxsize=256)
def choose_style(accept: str, asked: str, *, tables: bool) -> Style:
    """How an answer of data is written.

    asked: the value of $format, which outweighs the header
    tables: may it be a table?
    Raises: NotAcceptable
    """
    if asked:
        short = {"json": "application/json", "csv": "text/csv"}
        accept = short.get(asked.strip().lower(), asked)
    ranges = [one for one in read_ranges(accept or "*/*") if one.is_served]
    known = [one for one in ranges if one.type in {*JSON_TYPES, *CSV_TYPES}]
    refused = {(one.type, one.asked("metadata", "")) for one in known if not one.quality}
    wanted = [one for one in known if one.quality]
    for one in wanted:
        if one.type in JSON_TYPES and not excludes(refused, one, JSON_TYPES):
            return Style(
                one.metadata,
                numbers_as_text=one.asked("ieee754compatible", "false") == "true",
                streaming=one.asked("streaming", "false") == "true",
                tells_charset=bool(one.asked("charset", "")),
            )
        if tables and one.type in CSV_TYPES and not excludes(refused, one, CSV_TYPES):
            return Style("none", is_csv=True)
    raise NotAcceptable(NO_ROWS if tables else NO_JSON)


def excludes(refused: Iterable[tuple[str, str]], wanted: MediaRange, types: Sequence[str]) -> bool:
    """Is what an entry asks for refused by one that says more exactly what? (RFC 9110, 12.5.1)

    refused: types with the metadata they name, if any
    types: the names a format goes by, the most exact one first
    """
    breadth = types.index(wanted.type), not wanted.asked("metadata", "")
    return any(
        kind in types and (types.index(kind), not level) < breadth
        for kind, level in refused
        if level in {"", wanted.metadata}
    )


def chooses_csdl_json(accept: str, asked: str, *, version: str) -> bool:
    """Is $metadata wanted as JSON rather than XML? There is none of it in version 4.0.

    version: the highest one that the caller reads
    Raises: NotAcceptable
    """
    if asked:
        short = {"xml": "application/xml", "json": "application/json"}
        accept = short.get(asked.strip().lower(), asked)
    best: dict[str, float] = {}
    for one in read_ranges(accept or "*/*"):
        if one.is_served:
            best.setdefault(one.type, one.quality)
    json, xml = (
        next((best[name] for name in types if name in best), 0.0)
        for types in (JSON_TYPES, XML_TYPES)
    )
    if version == "4.0" and json and not xml:
        raise NotAcceptable(NO_OLD_JSON, hint="Read XML, or leave OData-MaxVersion: 4.0 out.")
    if not max(json, xml):
        raise NotAcceptable(NO_CSDL)
    # Who lists XML at all, as Power Query does, reads no other $metadata.
    return version != "4.0" and not best.get(XML_TYPES[0]) and json > xml


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
