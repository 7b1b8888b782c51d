"""A module type that is one entry of the registry goes the whole way: intake, fold, sets, lag."""

import json
import subprocess
import sys

# Run in a process of its own: everything reads the registry when it is imported.
SCRIPT = r"""
import sys, types, json
from importlib.util import find_spec

spec = find_spec("app.learning.modules")
text = open(spec.origin, encoding="utf-8").read()
entry = 'ModuleType("simulation", "Simulation", part_noun="scene", human_gate="review"),'
known = 'MODULE_TYPES: tuple[ModuleType, ...] = ('
assert known in text
modules = types.ModuleType(spec.name)
modules.__file__ = spec.origin
sys.modules[spec.name] = modules
exec(compile(text.replace(known, known + "\n    " + entry), spec.origin, "exec"), vars(modules))

from sqlmodel import SQLModel
import app.store.tables
from app.intake.accept import accept_items
from app.intake.sources import add_source
from app.processing.drain import drain_all
from app.query.request import Request
from app.store.engine import open_store, schema_transaction, transaction
from app.store.tables.past import create_triggers
from tests.builders import an_environment, an_event, ask, rows_of, some_settings

store = open_store("sqlite:///" + sys.argv[1])
with schema_transaction(store) as connection:
    SQLModel.metadata.create_all(connection)
    create_triggers(connection)
environment_id = an_environment(store)
with transaction(store) as connection:
    add_source(connection, environment_id, source_key="lms")
data = {"learner": "u1", "module": "m1", "module_type": "simulation"}
events = [
    an_event(1, type="progress.started", data=data),
    an_event(2, type="attempt.submitted", data={**data, "attempt": 1}),
    an_event(3, type="part.done", data={**data, "part": "scene-1"}),
]
receipt = accept_items(store, some_settings(), environment_id=environment_id, items=events)
drain_all(store, some_settings())
where = "module_type eq 'simulation'"

def rows_in(name, **said):
    return rows_of(ask(store, Request(name, **said), environment_id=environment_id))

progress = rows_in("LearnerProgress", where=where)
parts = rows_in("PartProgress", where=where)
lag = rows_in("IngestionLag")
print(json.dumps({
    "accepted": receipt.accepted,
    "progress": [[row["module_type"], row["status"], row["parts_done"]] for row in progress],
    "parts": [[row["part_key"], row["status"]] for row in parts],
    "lag": [row["applied"] for row in lag if row["stream"] == "simulation"],
}))
"""


def test_a_module_type_is_one_entry_and_nothing_else(tmp_path: object) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"{tmp_path}/store.db"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout) == {
        "accepted": 3,
        "progress": [["simulation", "awaiting_review", 1]],
        "parts": [["scene-1", "done"]],
        "lag": [3],
    }
