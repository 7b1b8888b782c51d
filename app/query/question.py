"""Question: a request with all it is judged by; names are looked up and expressions bound here."""

from collections.abc import Iterable
from difflib import get_close_matches

from app.base.config import Settings
from app.base.errors import BadOption, ScopeMissing, TooComplex, UnknownField
from app.catalog.fields import Dataset, Field
from app.catalog.index import dataset_named
from app.query.expr import AsOf, Column, Expr, Literal
from app.query.filters import bind_filter, bind_order
from app.query.request import Request

_APART = {"key", "aliases", "after", "as_of"}
_PLAIN = tuple(name for name in Request.__dataclass_fields__ if name not in _APART)


class Question:
    """A request with all it is judged by, to be found again in the cache of shapes."""

    __slots__ = ("_key", "datasets", "request", "scopes", "settings")

    def __init__(
        self,
        request: Request,
        *,
        scopes: frozenset[str],
        settings: Settings,
        datasets: tuple[Dataset, ...],
    ) -> None:
        self.request, self.scopes = request, scopes
        self.settings, self.datasets = settings, datasets
        self._key = (
            *(getattr(request, name) for name in _PLAIN),
            None if request.key is None else tuple(request.key.items()),
            tuple(request.aliases.items()),
            scopes,
            id(settings),
            id(datasets),
        )

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Question) and self._key == other._key

    def allowed_dataset(self, name: str) -> Dataset:
        """The dataset of this name, if the caller may ask it.

        Raises: UnknownDataset, ScopeMissing
        """
        dataset = dataset_named(name, self.datasets)
        if dataset.scope not in self.scopes:
            raise ScopeMissing(f"{dataset.name} needs a key with scope {dataset.scope!r}")
        return dataset

    def bind_condition(self, dataset: Dataset, text: str) -> Expr:
        """A condition over rows of a dataset.

        Raises: as bind_filter
        """
        return bind_filter(
            text,
            dataset,
            settings=self.settings,
            scopes=self.scopes,
            aliases=self.request.aliases,
            resolve=lambda name: dataset_named(name, self.datasets),
        )

    def bind_total_order(self, dataset: Dataset, text: str) -> tuple[tuple[Expr, bool], ...]:
        """What rows are sorted by, the key last, so that the order is total.

        Raises: as bind_order; BadOption for a constant
        """
        asked: tuple[tuple[Expr, bool], ...] = ()
        if text:
            asked = bind_order(
                text,
                dataset,
                settings=self.settings,
                scopes=self.scopes,
                aliases=self.request.aliases,
                resolve=lambda name: dataset_named(name, self.datasets),
            )
        if any(isinstance(expr, Literal | AsOf) for expr, _ in asked):
            raise BadOption("a constant is nothing to sort by", hint="Sort by fields.")
        given = {e.field.name for e, _ in asked if isinstance(e, Column) and not e.path}
        keys = (field_named(dataset, name, self.scopes) for name in dataset.key)
        rest = tuple((Column(f.type, (), f), False) for f in keys if f.name not in given)
        return asked + rest

    def selected_fields(self, dataset: Dataset, names: tuple[str, ...]) -> tuple[Field, ...]:
        """The fields of these names, each once; all that the caller may see when none is named.

        Raises: UnknownField, TooComplex
        """
        if not names:
            return tuple(f for f in dataset.fields if f.scope is None or f.scope in self.scopes)
        limit = self.settings.limit_select
        if len(names) > limit:
            raise TooComplex(f"$select names {len(names)} fields; at most {limit}")
        return tuple(field_named(dataset, name, self.scopes) for name in dict.fromkeys(names))


def field_named(dataset: Dataset, name: str, scopes: Iterable[str]) -> Field:
    """A field this caller may see.

    Raises: UnknownField, with the nearest name as a hint
    """
    visible = [f for f in dataset.fields if f.scope is None or f.scope in scopes]
    for field in visible:
        if field.name == name:
            return field
    near = get_close_matches(name, [f.name for f in visible], n=1)
    hint = f"Did you mean {near[0]}?" if near else f"GET /v1/datasets/{dataset.name} lists them."
    raise UnknownField(f"{dataset.name} has no field {name[:100]!r}", hint=hint, target=name[:100])
