"""Texts read as values of other types, and numbers written as texts, the same on both databases.

The forms are those of a value in a body or URL, without quotes; a text that is no such value gives
null. A moment is read as microseconds from 1970, as a duration is in microseconds.
"""

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, Boolean, ColumnElement, Double, Text, literal_column
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from app.store.arithmetic import GREATEST, LEAST_NUMBER
from app.store.decimals import fewest_digits
from app.store.spans import LONGEST_SPAN, ClockText, MomentOf, SpanWithin
from app.store.spelling import SpeltFunction, fenced_once

Sql = ColumnElement[Any]

_DAY = "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
_CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,12})?)?"
# By kind of value; PostgreSQL and Python read these alike.
FORMS = {
    "whole": "[+-]?[0-9]{1,19}",
    "number": "[+-]?[0-9]{1,255}([.][0-9]{1,255})?([Ee][+-]?[0-9]{1,3})?",
    "flag": "([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])",
    "day": _DAY,
    "clock": _CLOCK,
    "moment": f"{_DAY}[Tt]{_CLOCK}([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?",
    "span": (
        "[+-]?[Pp]([0-9]{1,19}[Dd])?"
        "([Tt]([0-9]{1,19}[Hh])?([0-9]{1,19}[Mm])?([0-9]{1,19}([.][0-9]{1,12})?[Ss])?)?"
    ),
    "guid": "[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
}
_UNITS = {"D": 86400, "H": 3600, "M": 60, "S": 1}

# What PostgreSQL makes of `q.x`, a text of that form.
_LEAP = (
    "mod(substr(q.x, 1, 4)::integer, 4) = 0 AND (mod(substr(q.x, 1, 4)::integer, 100) <> 0"
    " OR mod(substr(q.x, 1, 4)::integer, 400) = 0)"
)
_LAST = (
    f"CASE substr(q.x, 6, 2) WHEN '02' THEN CASE WHEN {_LEAP} THEN '29' ELSE '28' END"
    " WHEN '04' THEN '30' WHEN '06' THEN '30' WHEN '09' THEN '30' WHEN '11' THEN '30'"
    " ELSE '31' END"
)
_IS_DAY = f"substr(q.x, 1, 4) <> '0000' AND substr(q.x, 9, 2) <= {_LAST}"
_FRACTION = "rpad(coalesce(substring(q.x from '[.]([0-9]{1,6})'), ''), 6, '0')"
_OFFSET = (
    "CASE WHEN q.x !~ '[+-]..:..$' THEN 0 ELSE"
    " CASE substr(q.x, length(q.x) - 5, 1) WHEN '-' THEN -1 ELSE 1 END"
    " * (substr(q.x, length(q.x) - 4, 2)::bigint * 60 + right(q.x, 2)::bigint) END"
)
_MOMENT = (
    "((substr(q.x, 1, 10)::date - DATE '1970-01-01')::bigint * 86400"
    " + substr(q.x, 12, 2)::bigint * 3600"
    f" + (substr(q.x, 15, 2)::bigint - ({_OFFSET})) * 60"
    " + coalesce(substring(q.x from '^.{16}:([0-9]{2})'), '0')::bigint)"
    f" * 1000000 + {_FRACTION}::bigint"
)
_SECONDS = " + ".join(
    f"coalesce(substring(upper(q.x) from '([0-9.]+){unit}'), '0')::numeric * {seconds}"
    for unit, seconds in _UNITS.items()
)
_RULES = {
    "whole": "CASE WHEN q.x::numeric BETWEEN -9223372036854775808 AND 9223372036854775807"
    " THEN q.x::bigint END",
    "number": f"CASE WHEN abs(q.x::numeric) > {GREATEST} THEN NULL"
    f" WHEN abs(q.x::numeric) < {LEAST_NUMBER} THEN 0.0::double precision"
    " ELSE q.x::double precision END",
    "flag": "length(q.x) = 4",
    "day": f"CASE WHEN {_IS_DAY} THEN q.x END",
    "clock": "substr(q.x, 1, 5) || ':' ||"
    f" coalesce(substring(q.x from '^.{{5}}:([0-9]{{2}})'), '00') || '.' || {_FRACTION}",
    "moment": f"CASE WHEN {_IS_DAY} THEN {_MOMENT} END",
    "span": "CASE WHEN upper(right(q.x, 1)) IN ('P', 'T') THEN NULL ELSE"
    f" trunc(({_SECONDS}) * 1000000) * CASE left(q.x, 1) WHEN '-' THEN -1 ELSE 1 END END",
    "guid": "lower(q.x)",
}
_KINDS: dict[str, Any] = {
    "whole": BigInteger(),
    "number": Double(),
    "flag": Boolean(),
    "day": Text(),
    "clock": ClockText(),
    "moment": BigInteger(),
    "span": BigInteger(),
    "guid": Text(),
}


class TextRead(FunctionElement[Any]):
    """A text as a value of a kind of `FORMS`: the kind's literal name, the text."""

    inherit_cache = True


@compiles(TextRead)
def _read(element: TextRead, compiler: SQLCompiler, **kw: Any) -> str:
    kind, text = (compiler.process(clause, **kw) for clause in element.clauses)
    name = kind[1:-1]
    rule = f"CASE WHEN q.x ~ '^({FORMS[name]})$' THEN {_RULES[name]} END"
    return fenced_once(rule, x=f"({text})::text")


@compiles(TextRead, "sqlite")
def _read_sqlite(element: TextRead, compiler: SQLCompiler, **kw: Any) -> str:
    kind, text = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"fullcount_read({kind}, {text})"


def read_text_as(kind: str, text: Sql) -> Sql:
    """A text as a value of a kind of `FORMS`, in its range; null where it is none."""
    read = TextRead(literal_column(f"'{kind}'"), text)
    read.type = _KINDS[kind]
    if kind == "moment":
        return MomentOf(read)
    return SpanWithin(read) if kind == "span" else read


class NumberText(SpeltFunction[str]):
    """A double in as few digits as tell it from all others: `0.1`, `100`, `1e+22`."""

    type = Text()
    # Zero has no sign here.
    postgresql = "({0}::double precision + 0.0::double precision)::text"
    sqlite = "fullcount_digits({0})"


# The same in Python: for SQLite, and for texts that a question gives


def read_form(kind: str, text: str | None) -> Any:
    """A text as PostgreSQL's rules above read it: None where it is no value of that kind."""
    if text is None or re.fullmatch(FORMS[kind], str(text)) is None:
        return None
    return _READERS[kind](str(text))


def _read_whole(text: str) -> int | None:
    value = int(text)
    return value if -(2**63) <= value < 2**63 else None


def _read_number(text: str) -> float | None:
    size = abs(Decimal(text))
    if size > Decimal(GREATEST):
        return None
    return 0.0 if size < Decimal(LEAST_NUMBER) else float(text)


def _read_flag(text: str) -> bool:
    return len(text) == 4


def _read_day(text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None


def _read_clock(text: str) -> str:
    clock, _, fraction = text.partition(".")
    return f"{clock}{':00' * (len(clock) == 5)}.{fraction[:6]:0<6}"


def _read_moment(text: str) -> int | None:
    day, rest = text[:10], text[11:].upper()
    if _read_day(day) is None:
        return None
    # Without an offset it is in UTC. Source: OData URL Conventions 4.01, section 5.1.1.10.1
    clock, offset = (rest[:-6], rest[-6:]) if rest[-6:-5] in {"+", "-"} else (rest, "+00:00")
    moment = datetime.fromisoformat(f"{day}T{_read_clock(clock.rstrip('Z'))}").replace(tzinfo=UTC)
    minutes = int(offset[1:3]) * 60 + int(offset[4:])
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return micros - (-minutes if offset[0] == "-" else minutes) * 60_000_000


def _read_span(text: str) -> int | None:
    if text[-1] in "PpTt":
        return None
    parts = re.findall(r"([0-9.]+)([DHMS])", text.upper())
    micros = int(sum(Decimal(number) * _UNITS[unit] for number, unit in parts) * 1_000_000)
    # What is beyond is null; SQLite would not take what is beyond 64 bits.
    return None if micros > LONGEST_SPAN else -micros if text[0] == "-" else micros


_READERS: dict[str, Callable[[str], Any]] = {
    "whole": _read_whole,
    "number": _read_number,
    "flag": _read_flag,
    "day": _read_day,
    "clock": _read_clock,
    "moment": _read_moment,
    "span": _read_span,
    "guid": str.lower,
}


def spell_number(number: float | None) -> str | None:
    """The digits of a double as PostgreSQL spells them: exponents from 15 on, no `.0`."""
    if not number:
        return None if number is None else "0"
    shortest = Decimal(fewest_digits(float(number))).normalize()
    sign, digits, exponent = shortest.as_tuple()
    place = len(digits) + int(exponent) - 1
    if -4 <= place < 15:
        spelt = f"{shortest.copy_abs():f}"
    else:
        first, rest = str(digits[0]), "".join(map(str, digits[1:]))
        spelt = f"{first}{'.' if rest else ''}{rest}e{place:+03d}"
    return f"-{spelt}" if sign else spelt


def add_casts(raw: Any) -> None:
    """Teach a connection of SQLite these."""
    raw.create_function("fullcount_read", 2, read_form, deterministic=True)
    raw.create_function("fullcount_digits", 1, spell_number, deterministic=True)
