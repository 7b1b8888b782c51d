"""`$search` in, a condition out: every word is looked for in the texts that a dataset declares."""

from dataclasses import dataclass

from app.base.config import Settings
from app.base.errors import NotSupported, TooComplex
from app.catalog.fields import Dataset, Type
from app.query.expr import Both, Column, Element, Expr, Holds, Not
from app.query.literals import read_text
from app.query.searches import Search, Term, Without, parse_search, terms_of
from app.store.folding import fold_text


@dataclass(frozen=True, slots=True)
class _Looking:
    """Where words are looked for."""

    fields: tuple[Column | Element, ...]

    def bind(self, search: Search) -> Expr:
        """The condition of a search; it is never null."""
        match search:
            case Term():
                word = fold_text(search.text) or ""
                return Holds(Type.BOOL, self.fields, word, search.text.isascii())
            case Without():
                return Not(Type.BOOL, self.bind(search.inner))
        return Both(Type.BOOL, search.operator, tuple(self.bind(part) for part in search.parts))


def bind_search_terms(
    text: str, dataset: Dataset, *, settings: Settings, scopes: frozenset[str], of: str = ""
) -> Expr:
    """The condition that rows of a dataset hold what is searched for.

    of: the name of the rows, when they are not the question's own
    Raises: BadSyntax, TooComplex; NotSupported, when the set has no text to look into
    """
    search = read_search(text, settings)
    fields = tuple(
        Column(field.type, (), field, of)
        for field in dataset.fields
        if field.name in dataset.searchable and (field.scope is None or field.scope in scopes)
    )
    if not fields:
        raise NotSupported(f"{dataset.name} has no text that $search looks into")
    return _Looking(fields).bind(search)


def bind_list_search(text: str, name: str, *, settings: Settings) -> Expr:
    """The condition that the present member of a list holds what is searched for.

    name: of the list's `Rows`
    Raises: BadSyntax, TooComplex
    """
    return _Looking((Element(Type.TEXT, name),)).bind(read_search(text, settings))


def read_search(text: str, settings: Settings) -> Search:
    """A search within its limits.

    Raises: BadSyntax, TooComplex
    """
    limit = settings.limit_filter_bytes
    if len(text.encode("utf-8", "surrogatepass")) > limit:
        raise TooComplex(f"$search is longer than the limit filter_bytes, {limit}")
    search = parse_search(text, settings.limit_filter_depth)
    words = list(terms_of(search))
    if len(words) > settings.limit_search_terms:
        raise TooComplex(
            f"$search has {len(words)} words; the limit search_terms is"
            f" {settings.limit_search_terms}",
            target="$search",
        )
    for word in words:
        read_text(word)
    return search
