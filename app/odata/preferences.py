"""The Prefer header in, what the caller wishes out, and the header that says what was granted.

Names count with and without the prefix `odata.`. Source: OData Protocol 4.01, 8.2.8; RFC 7240.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache

from app.base.errors import BadOption
from app.odata.formats import split_unquoted

KNOWN = frozenset(
    {
        "allow-entityreferences",
        "callback",
        "continue-on-error",
        "handling",
        "include-annotations",
        "maxpagesize",
        "omit-values",
        "respond-async",
        "return",
        "track-changes",
        "wait",
    }
)
LONGEST_WAIT_S = 10


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller wishes.

    page_rows: the page size; None without a usable one
    page_name: that preference as it was spelled, to be repeated
    track_name: the wish for a delta link, as it was spelled; empty without it
    omit_nulls: leave out what is null
    annotations: patterns of terms to include, or with `-` to leave out; empty without a wish
    is_strict: fail rather than ignore what is not known
    respond_async, wait_s: answer later, if it takes longer than this
    continue_on_error: go on with the other parts of a batch; None when nothing is said
    unknown: names nobody here knows
    """

    page_rows: int | None = None
    page_name: str = "maxpagesize"
    track_name: str = ""
    omit_nulls: bool = False
    annotations: tuple[str, ...] = ()
    is_strict: bool = False
    respond_async: bool = False
    wait_s: int = 0
    continue_on_error: bool | None = None
    unknown: tuple[str, ...] = ()

    def wants(self, term: str) -> bool:
        """Is an annotation of this term wished for? The most specific pattern says it."""
        said = [p for p in self.annotations if fnmatchcase(term, p.removeprefix("-"))]
        if not said:
            return not any(not p.startswith("-") for p in self.annotations)
        exact = [p for p in said if "*" not in p]
        return not max(exact or said, key=len).startswith("-")


@lru_cache(maxsize=256)
def read_preferences(prefer: str, *, most_rows: int) -> Preferences:
    """What a Prefer header wishes; what is said twice counts the first time, and without its prefix
    before with it.

    most_rows: the largest page
    Raises: BadOption, for a strict caller with a preference nobody knows
    Source: OData Protocol 4.01, 8.2.8.4 and 8.2.8.5
    """
    given: dict[str, tuple[str, str]] = {}
    for part in split_unquoted(prefer, ","):
        spelled, _, value = part.partition(";")[0].partition("=")
        name = spelled.strip().lower()
        bare = name.removeprefix("odata.")
        if bare and (bare not in given or (name == bare and given[bare][0] != bare)):
            given[bare] = (name, value.strip().strip('"'))
    values = {name: value for name, (_, value) in given.items()}
    unknown = tuple(name for name in given if name not in KNOWN)
    is_strict = values.get("handling", "").lower() == "strict"
    if is_strict and unknown:
        raise BadOption(f"there is no preference {unknown[0][:100]!r}", target="Prefer")
    return Preferences(
        page_rows=_read_rows(values.get("maxpagesize", ""), most_rows),
        page_name=given.get("maxpagesize", ("maxpagesize", ""))[0],
        track_name=given.get("track-changes", ("", ""))[0],
        omit_nulls=values.get("omit-values", "").lower() == "nulls",
        annotations=tuple(
            p.strip() for p in values.get("include-annotations", "").split(",") if p.strip()
        ),
        is_strict=is_strict,
        respond_async="respond-async" in values,
        wait_s=_read_wait(values.get("wait", "")),
        continue_on_error=_read_switch(values.get("continue-on-error")),
        unknown=unknown,
    )


def _read_rows(text: str, most: int) -> int | None:
    rows = int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0
    return min(rows, most) if rows > 0 else None


def _read_wait(text: str) -> int:
    return min(int(text), LONGEST_WAIT_S) if re.fullmatch(r"[0-9]{1,9}", text) else 0


def _read_switch(value: str | None) -> bool | None:
    return None if value is None else value.lower() != "false"


def write_applied(applied: Iterable[str]) -> dict[str, str]:
    """The header that says which preferences were granted; none when there were none."""
    said = ", ".join(applied)
    return {"Preference-Applied": said} if said else {}
