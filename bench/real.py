"""The main job on real input: all of OULAD in over HTTP, twice, and every figure three ways.

Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed (docs/mapping-oulad.md).
"""

import json
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from bench.figures import (
    FIGURES_EACH,
    Ask,
    as_body,
    differences,
    figures_by_odata,
    figures_by_rest,
)
from bench.measure import Figure, tell
from bench.oulad import (
    SOURCE_KEY,
    environment_names,
    expected_figures,
    find_oulad,
    map_oulad,
    read_events,
)
from bench.server import Client, Server, prepare_database, serve_product

AS_OF = (datetime(2014, 3, 1, tzinfo=UTC), datetime(2016, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Sending:
    """One sending of all events: how many, their fates, and how long it took.

    acknowledged_s: until the last acknowledgement; applied_s: until nothing was pending
    """

    sent: int
    accepted: dict[str, int]
    duplicate: dict[str, int]
    refused: int
    acknowledged_s: float
    applied_s: float


def run_real() -> list[Figure]:
    """Load, load again, compare; any difference is an error."""
    folder = find_oulad()
    if folder is None:
        raise SystemExit("OULAD is not at hand: see docs/mapping-oulad.md, 'What is needed'.")
    tell("mapping OULAD to events")
    mapped = map_oulad(folder)
    names = environment_names(mapped)
    with tempfile.TemporaryDirectory() as place:
        database = Path(place) / "real.db"
        keys = prepare_database(database, names, source=SOURCE_KEY)
        with serve_product(database) as server:
            first = _send_all(server, mapped, keys)
            again = _send_all(server, mapped, keys)
            compared = _compare_all(server, mapped, keys)
    if again.duplicate != first.accepted or any(again.accepted.values()) or first.refused:
        raise AssertionError(f"the second sending is not all duplicates: {first} {again}")
    return [
        Figure("events sent", first.sent, "events"),
        Figure(
            "acknowledged, over HTTP in batches of 1,000",
            first.sent / first.acknowledged_s,
            "events/s",
        ),
        Figure("applied", first.sent / first.applied_s, "events/s"),
        Figure("sent again, all duplicates", again.sent / again.acknowledged_s, "events/s"),
        Figure("environments whose books balance", len(names), "of 15", 15),
        Figure("figures equal in DuckDB, OData and REST", compared, "figures"),
    ]


def asker(client: Client) -> Ask:
    """Questions over a kept connection, JSON in and out."""

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        reply = client.ask(
            method, path, body=as_body(body), headers={"Content-Type": "application/json"}
        )
        if not 200 <= reply.status < 300:
            raise AssertionError(f"{method} {path}: {reply.status} {reply.body[:500]!r}")
        return json.loads(reply.body)

    return ask


def send_batch(client: Client, batch: list[str]) -> dict[str, Any]:
    """Send a batch until it is let in; where the backlog is at its cap, when told to."""
    while True:
        reply = client.ask(
            "POST",
            "/v1/events",
            body="\n".join(batch).encode(),
            headers={"Content-Type": "application/x-ndjson"},
        )
        if reply.status != 429:
            break
        time.sleep(float(reply.headers.get("retry-after", "1")))
    if reply.status != 202:
        raise AssertionError(f"{reply.status} {reply.body[:500]!r}")
    receipt: dict[str, Any] = json.loads(reply.body)
    return receipt


def await_applied(client: Client) -> dict[str, Any]:
    """The books once nothing is pending."""
    ask = asker(client)
    while (books := ask("GET", "/v1/books"))["pending"]:
        time.sleep(0.1)
    found: dict[str, Any] = books
    return found


def _send_all(server: Server, mapped: duckdb.DuckDBPyConnection, keys: dict[str, str]) -> Sending:
    accepted: dict[str, int] = {}
    duplicate: dict[str, int] = {}
    sent = refused = 0
    started = time.monotonic()
    for name, key in keys.items():
        accepted[name] = duplicate[name] = 0
        with server.client(key) as client:
            for batch in read_events(mapped, name):
                receipt = send_batch(client, batch)
                sent += receipt["received"]
                accepted[name] += receipt["accepted"]
                duplicate[name] += receipt["duplicate"]
                refused += receipt["conflict"] + receipt["rejected"]
        tell(
            f"  {name}: {accepted[name]:,} accepted, {duplicate[name]:,} duplicate,"
            f" {sent / (time.monotonic() - started):,.0f} events/s so far"
        )
    acknowledged_s = time.monotonic() - started
    for key in keys.values():
        with server.client(key) as client:
            books = await_applied(client)
            if not books["balanced"] or books["dead"]:
                raise AssertionError(f"the books do not balance: {books}")
    applied_s = time.monotonic() - started
    return Sending(sent, accepted, duplicate, refused, acknowledged_s, applied_s)


def _compare_all(server: Server, mapped: duckdb.DuckDBPyConnection, keys: dict[str, str]) -> int:
    """Compare every figure; give how many there were."""
    count = 0
    for name, key in keys.items():
        with server.client(key) as client:
            ask = asker(client)
            for as_of in AS_OF:
                expected = expected_figures(mapped, name, as_of=as_of)
                types = [figures.module_type for figures in expected]
                by_odata = figures_by_odata(ask, module_types=types, as_of=as_of)
                faults = differences(expected, by_odata)
                faults += differences(expected, figures_by_rest(ask, as_of=as_of))
                if faults:
                    raise AssertionError(f"{name} at {as_of}: {faults}")
                count += FIGURES_EACH * len(expected)
    return count
