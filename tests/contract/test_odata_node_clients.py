"""Clients written for node read our $metadata and feed, where their packages are installed.

FULLCOUNT_NODE_CLIENTS names the folder whose node_modules holds odata-csdl, odata-openapi,
@odata2ts/odata2ts and @odata/client.
"""

import json
import os
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

FOLDER = Path(os.environ.get("FULLCOUNT_NODE_CLIENTS", "nowhere"))
pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (FOLDER / "node_modules").is_dir(),
    reason="FULLCOUNT_NODE_CLIENTS names no folder with the node packages",
)
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


def run(*command: str) -> str:
    """What a program says; it must end well."""
    ran = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=120)
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


def test_a_typed_client_can_be_made_of_it(metadata: Path) -> None:
    out = metadata.parent / "client"
    project = metadata.parent / "tsconfig.json"
    project.write_text('{"compilerOptions": {"target": "es2020", "module": "commonjs"}}', "utf-8")
    command = (tool("odata2ts"), "-s", str(metadata), "-o", str(out), "-m", "models")
    ran = subprocess.run(command, cwd=metadata.parent, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    text = "".join(path.read_text("utf-8") for path in out.rglob("*.ts"))
    assert "interface LearnerProgressRow" in text
    assert "assignment_id" in text or "assignmentId" in text


def test_a_javascript_client_reads_the_feed(served: ServedFeed) -> None:
    told = json.loads(run("node", "-e", READ_FEED, served.root, served.key))
    assert sorted(told["ids"]) == [21, 22, 23]
    assert told["one"]["learner_key"] == "u/4'2"
    assert told["count"] == 23
