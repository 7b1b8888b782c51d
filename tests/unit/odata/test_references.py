"""What requests in other words ask, spelled out."""

import pytest

from app.access.principal import Principal
from app.base.config import Settings
from app.base.errors import UnknownPath
from app.catalog.index import DATASETS
from app.odata.calls import Call
from app.odata.feed import show_feed
from app.odata.references import spell_path

FEED = show_feed("https://host.example/odata/v4", DATASETS, frozenset({"read"}))


def nobody() -> Principal:
    """Who is never asked."""
    raise AssertionError


def spell(url: str) -> str:
    """The path of what is at a URL."""
    path, _, query = url.partition("?")
    return spell_path(Call("GET", path, query, {}, b"", nobody), FEED, Settings(_env_file=None))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("Modules(1)?$select=name&as_of=3", "Modules(1)"),
        ("Modules/1", "Modules(1)"),
        ("Modules/@k?@k=-1", "Modules(-1)"),
        ("Modules(module_key=@k)?@k='a%2Fb ''c'", "Modules(module_key='a%2Fb%20%27%27c')"),
        ("IngestionLag(@k)?@k='a@k'", "IngestionLag('a%40k')"),
        ("SeriesModules/s1/m%2F1", "SeriesModules(series_key='s1',module_key='m%2F1')"),
        ("Learners(1)/progress(@k)/module?@k=2", "LearnerProgress(2)/module"),
        ("LearnerProgress(@k)/learner/team?@k=2", "LearnerProgress(2)/learner/team"),
        ("$entity?$id=https://host.example/odata/v4/Modules(1)", "Modules(1)"),
        ("$entity/fullcount.Module?$id=Modules(@k)&@k=1", "Modules(1)"),
        ("Freshness", "Freshness"),
        ("Modules?$top=1", "Modules"),
        ("Modules(1)/name", "Modules(1)/name"),
    ],
)
def test_an_entity_is_spelled_so_that_it_needs_no_query(url: str, path: str) -> None:
    assert spell(url) == path
    assert spell(path) == path


def test_what_is_no_data_has_no_path() -> None:
    for url in ("$metadata", ""):
        with pytest.raises(UnknownPath):
            spell(url)
