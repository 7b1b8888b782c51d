"""A world of rows for a module of property tests, on each database."""

import os
from collections.abc import Iterator

import pytest

from tests.property.rows import World, open_world

DATABASES = os.environ.get("FULLCOUNT_TEST_DATABASES", "sqlite,postgresql").split(",")


@pytest.fixture(scope="module")
def world(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """The same rows in a store of each kind."""
    template, servers = "", dict.fromkeys(DATABASES)
    if "postgresql" in servers:
        template = request.getfixturevalue("postgres_template")
        servers["postgresql"] = request.getfixturevalue("postgres_url")
    folder = tmp_path_factory.mktemp("world")
    with open_world(servers, folder=folder, template=template) as opened:
        yield opened
