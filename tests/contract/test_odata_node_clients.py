"""Clients written for node read our $metadata and feed; `make test` fetches them where node is.

tests/node pins them. FULLCOUNT_NODE_CLIENTS names another folder whose node_modules holds them.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.base.config import Settings
from app.catalog.index import DATASETS
from app.odata.feed import Feed, show_feed
from app.odata.metadata import write_metadata, write_metadata_json
from app.store.engine import Store
from tests.contract.served_feed import ServedFeed, serve_feed

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("FULLCOUNT_NODE_CLIENTS", ROOT / ".node"))
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(),
    reason="node is not there, or `make .node/installed` could not fetch the clients",
)
# They start slowly, and what a database does differently has its tests elsewhere.
on_one_database = pytest.mark.parametrize("store", ["sqlite"], indirect=True)
LIMITS = Settings(_env_file=None)
# @odata/client finds all sets and some rows, and says them as one line of JSON.
READ_FEED = """
const { OData } = require("@odata/client");
const [root, key] = process.argv.slice(1);
const headers = { Authorization: "Bearer " + key };
async function read() {
  const client = OData.New4({ serviceEndpoint: root + "/", commonHeaders: headers });
  const set = client.getEntitySet("LearnerProgress");
  const filter = OData.newFilter().field("assignment_id").gt(20);
  const rows = await set.query(OData.newParam().filter(filter).orderby("assignment_id"));
  const one = await client.getEntitySet("Learners").retrieve(3);
  const count = await set.count();
  console.log(JSON.stringify({ ids: rows.map((r) => r.assignment_id), one, count }));
}
read().catch((error) => { console.error(error); process.exit(1); });
"""
# What odata2ts has written asks for typed rows, with nothing but fetch below it.
ASK_TYPED = """
const [root, key] = process.argv.slice(1);
const { FullcountService } = require("./client/FullcountService.js");
const wire = {
  async get(url, _config, headers) {
    const answer = await fetch(url, { headers: { ...headers, Authorization: "Bearer " + key } });
    return { status: answer.status, data: await answer.json() };
  },
};
async function ask() {
  const service = new FullcountService(wire, root);
  const found = await service.LearnerProgress().query((question, row) => question
    .select("assignment_id", "status").expand("module")
    .filter(row.assignment_id.gt(20)).orderBy(row.assignment_id.desc()));
  const rows = found.data.value;
  const one = (await service.Learners(3).query()).data;
  const columns = Object.keys(rows[0]).filter((name) => !name.includes("@")).sort();
  console.log(JSON.stringify({ ids: rows.map((row) => row.assignment_id), columns, one }));
}
ask().catch((error) => { console.error(error); process.exit(1); });
"""


@pytest.fixture
def feed() -> Feed:
    return show_feed("http://127.0.0.1:8000/odata/v4", DATASETS, frozenset({"read", "pii"}))


@pytest.fixture
def metadata(feed: Feed, tmp_path: Path) -> Path:
    """The XML document as a file."""
    path = tmp_path / "metadata.xml"
    path.write_text(write_metadata(feed, version="4.01", limits=LIMITS), "utf-8")
    return path


@pytest.fixture
def served(store: Store, settings: Settings) -> Iterator[ServedFeed]:
    with serve_feed(store, settings) as opened:
        yield opened


def run(*command: str, folder: Path = FOLDER) -> str:
    """What a program says; it must end well."""
    around = {**os.environ, "NODE_PATH": str(FOLDER / "node_modules")}
    ran = subprocess.run(
        command, cwd=folder, env=around, capture_output=True, text=True, timeout=120
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def tool(name: str) -> str:
    """The path of an installed program."""
    return str(FOLDER / "node_modules" / ".bin" / name)


def test_the_standards_own_converter_makes_our_json_of_our_xml(feed: Feed, metadata: Path) -> None:
    run(tool("odata-csdl-xml2json"), str(metadata))
    theirs: dict[str, Any] = json.loads(metadata.with_suffix(".json").read_text("utf-8"))
    ours = json.loads(write_metadata_json(feed, version="4.01", limits=LIMITS))
    assert theirs == ours


def test_an_openapi_description_can_be_made_of_it(feed: Feed, metadata: Path) -> None:
    target = metadata.with_suffix(".openapi.json")
    run(tool("odata-openapi3"), "-t", str(target), str(metadata))
    paths = json.loads(target.read_text("utf-8"))["paths"]
    assert {f"/{dataset.name}" for dataset in feed.datasets} <= set(paths)
    assert {"get"} >= {verb for verb in paths["/Learners"] if verb in {"get", "post"}}


@on_one_database
def test_a_typed_client_made_of_it_reads_the_feed(served: ServedFeed, metadata: Path) -> None:
    folder = metadata.parent
    project = '{"compilerOptions": {"target": "es2020", "module": "commonjs"}}'
    (folder / "tsconfig.json").write_text(project, "utf-8")
    made = (tool("odata2ts"), "-s", str(metadata), "-o", "client", "-m", "service", "-e", "js")
    run(*made, folder=folder)
    told = json.loads(run("node", "-e", ASK_TYPED, served.root, served.key, folder=folder))
    assert told["ids"] == [23, 22, 21]
    assert told["columns"] == ["assignment_id", "module", "status"]
    assert told["one"]["learner_key"] == "u/4'2"


def test_saps_generator_makes_a_client_of_it(feed: Feed, metadata: Path) -> None:
    # It names folders after the file and reads the older form, which is what it asks for.
    metadata.write_text(write_metadata(feed, version="4.0", limits=LIMITS), "utf-8")
    run(tool("generate-odata-client"), "-i", str(metadata), "-o", str(metadata.parent / "sap"))
    made = {path.name: path for path in metadata.parent.glob("sap/*/*.ts")}
    assert {
        f"{dataset.name}Api.ts" for dataset in feed.datasets if dataset.name != "Freshness"
    } <= set(made)
    entity = made["LearnerProgress.ts"].read_text("utf-8")
    assert re.search(r"\bassignedAt\?: DeserializedType<T, .Edm.DateTimeOffset.>", entity)
    assert re.search(r"\bmodule\?: Modules<T> \| null", entity)
    assert re.search(r"\battemptsMade: Attempts<T>\[\]", entity)


@on_one_database
def test_a_javascript_client_reads_the_feed(served: ServedFeed) -> None:
    told = json.loads(run("node", "-e", READ_FEED, served.root, served.key))
    assert sorted(told["ids"]) == [21, 22, 23]
    assert told["one"]["learner_key"] == "u/4'2"
    assert told["count"] == 23
