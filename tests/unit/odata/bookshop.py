"""A second, unrelated model: the layer knows the names of no set."""

from app.catalog.fields import Dataset, Enumeration, Field, Navigation, Role, Type
from app.odata.feed import Feed, show_feed

ROOT = "https://shop.example/odata/v4"
GENRE = Enumeration("Genre", ("novel", "poetry"))


def column(name: str, type_: Type, **facets: object) -> Field:
    """A column of the sample."""
    return Field(name, type_, name.title(), f"The {name}.", **facets)  # type: ignore[arg-type]


BOOKS = Dataset(
    name="Books",
    entity="Book",
    label="Books",
    description='Books with "titles" & <tags>.',
    key=("book_id",),
    alternate_keys=(("title",),),
    fields=(
        column("book_id", Type.INT, role=Role.KEY, nullable=False),
        column("title", Type.TEXT, max_length=200, nullable=False),
        column("genre", Type.ENUM, enumeration=GENRE),
        column("price", Type.NUMBER, unit="percent"),
        column("printed_at", Type.TIME),
        column("bought_on", Type.DATE),
        column("sold", Type.BOOL),
        column("tags", Type.TEXTS),
        column("extra", Type.OPEN),
        column("cost", Type.NUMBER, scope="pii"),
        column("author_key", Type.TEXT),
    ),
    navigations=(
        Navigation("author", "Authors", (("author_key", "author_key"),), "Its author."),
        Navigation("prints", "Prints", (("book_id", "book_id"),), "Its prints.", many=True),
        Navigation("audit", "Audits", (("book_id", "book_id"),), "Who looked."),
    ),
)
AUTHORS = Dataset(
    name="Authors",
    entity="Author",
    label="Authors",
    description="Who writes.",
    key=("author_key",),
    fields=(
        column("author_key", Type.TEXT, role=Role.KEY, nullable=False, max_length=200),
        column("name", Type.TEXT),
    ),
    navigations=(
        Navigation("books", "Books", (("author_key", "author_key"),), "Theirs.", many=True),
    ),
)
PRINTS = Dataset(
    name="Prints",
    entity="Print",
    label="Prints",
    description="Prints.",
    key=("book_id", "place"),
    fields=(column("book_id", Type.INT), column("place", Type.TEXT)),
    navigations=(Navigation("book", "Books", (("book_id", "book_id"),), "The book."),),
)
AUDITS = Dataset(
    name="Audits",
    entity="Audit",
    label="Audits",
    description="Only for operators.",
    key=("book_id",),
    fields=(column("book_id", Type.INT),),
    scope="operate",
)
SHOP = (BOOKS, AUTHORS, PRINTS, AUDITS)


def shop(*scopes: str) -> Feed:
    """The sample as a caller with these scopes sees it."""
    return show_feed(ROOT, SHOP, frozenset(scopes or ("read",)))
