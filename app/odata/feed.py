"""Feed: the datasets one caller may see, as the catalog declares them; no set is named here.

Everything else here (paths, options, $metadata, context URLs) derives from a Feed.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches

from app.base.errors import UnknownField, UnknownPath
from app.catalog.fields import Dataset, Navigation

NAMESPACE = "fullcount"


@dataclass(frozen=True, eq=False, slots=True)
class Feed:
    """The sets of one service, already without what the caller's scopes do not show.

    root: the absolute URL of the service, without a slash at its end
    """

    root: str
    datasets: tuple[Dataset, ...]

    def dataset(self, name: str) -> Dataset:
        """The set of this name.

        Raises: UnknownPath
        """
        found = self.find(name)
        if found is None:
            near = suggest(name, [dataset.name for dataset in self.datasets])
            raise UnknownPath(f"there is no set {name[:100]!r}", hint=near, target=name[:100])
        return found

    def find(self, name: str) -> Dataset | None:
        """The set of this name, or None."""
        return next((dataset for dataset in self.datasets if dataset.name == name), None)

    def target(self, navigation: Navigation) -> Dataset:
        """The set a navigation leads to."""
        return self.dataset(navigation.target)


def show_feed(root: str, datasets: Iterable[Dataset], scopes: frozenset[str]) -> Feed:
    """The feed as a caller with these scopes sees it: no hidden set, column or way to one."""
    visible = [one for one in datasets if one.scope in scopes]
    names = {dataset.name for dataset in visible}
    return Feed(
        root,
        tuple(
            replace(
                dataset,
                fields=tuple(f for f in dataset.fields if f.scope is None or f.scope in scopes),
                navigations=tuple(n for n in dataset.navigations if n.target in names),
            )
            for dataset in visible
        ),
    )


def find_navigation(dataset: Dataset, name: str) -> Navigation:
    """The navigation of this name.

    Raises: UnknownField, with the nearest name
    """
    found = dataset.navigation(name)
    if found is None:
        near = suggest(name, [navigation.name for navigation in dataset.navigations])
        raise UnknownField(
            f"{dataset.name} has no navigation {name[:100]!r}", hint=near, target=name[:100]
        )
    return found


def suggest(name: str, known: Iterable[str]) -> str | None:
    """A hint that names the nearest known word, if one is near."""
    near = get_close_matches(name[:100], list(known), n=1)
    return f"Did you mean {near[0]!r}?" if near else None
