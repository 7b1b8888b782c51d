"""The census: which streams must exist and what they owe, put under contract, changed, taken off.

Nothing here is ever inferred from arriving data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from app.base.clock import format_time
from app.base.errors import ContractInvalid, NotContracted, Problem, UnknownName
from app.learning.contracts import DEFAULT_BUCKET_S, Contract, find_contradictions
from app.learning.elements import is_boundary
from app.learning.modules import STREAM_NAMES, stream_kind
from app.ledger.buckets import lock_ledger, restart_stream
from app.store.audit import record_act
from app.store.contracts import end_contract, read_contracts, write_contracts
from app.store.sums import EvidenceKey, newest_slot, read_bucket_sizes, read_keys
from app.store.tables import Source
from app.store.tables.columns import table_of


@dataclass(frozen=True, slots=True)
class Registered:
    """A source as evidence looks at it.

    keys: of its evidence, the newest first
    contracts: those in force, by stream
    """

    source_id: int
    source_key: str
    sealed_at: datetime | None
    keys: Sequence[EvidenceKey]
    contracts: Mapping[str, Contract]


def read_register(connection: Connection, environment_id: int) -> dict[str, Registered]:
    """Give the sources of an environment by their keys, with what they owe."""
    source = table_of(Source)
    keys = read_keys(connection, environment_id)
    contracts: dict[int, dict[str, Contract]] = {}
    for (source_id, stream), contract in read_contracts(connection, environment_id).items():
        contracts.setdefault(source_id, {})[stream] = contract
    rows = connection.execute(
        select(source.c.source_id, source.c.source_key, source.c.sealed_at)
        .where(source.c.environment_id == environment_id)
        .order_by(source.c.source_key)
    )
    return {
        row.source_key: Registered(
            row.source_id,
            row.source_key,
            row.sealed_at,
            keys.get(row.source_id, ()),
            contracts.get(row.source_id, {}),
        )
        for row in rows
    }


def list_contracts(connection: Connection, environment_id: int) -> list[dict[str, Any]]:
    """Give every stream there can be, with each source and its contract, or none."""
    register = read_register(connection, environment_id)
    return [
        {
            "stream": stream,
            "kind": stream_kind(stream),
            "sources": [
                {
                    "source": source.source_key,
                    "contracted": stream in source.contracts,
                    "sealed": source.sealed_at is not None,
                    "contract": describe_contract(source.contracts.get(stream)),
                }
                for source in register.values()
            ],
        }
        for stream in STREAM_NAMES
    ]


def describe_contract(contract: Contract | None) -> dict[str, Any] | None:
    """Give a contract in the words of the API."""
    if contract is None:
        return None
    told = asdict(contract)
    return {"from": format_time(told.pop("from_at")), **told, "shards": list(contract.shards)}


def find_contract(
    connection: Connection, environment_id: int, *, source: str, stream: str
) -> tuple[Registered, Contract]:
    """Give a source and its contract for a stream.

    Raises: UnknownName, NotContracted
    """
    found = _find_source(connection, environment_id, source)
    contract = found.contracts.get(stream)
    if contract is None:
        raise not_contracted(source, stream)
    return found, contract


def not_contracted(source: str, stream: str) -> NotContracted:
    """The error for evidence of a stream that this source does not owe, with the way out."""
    return NotContracted(
        f"the source {source[:100]!r} does not owe the stream {stream[:40]!r}",
        hint=f"Put it under contract: PUT /v1/streams/{source[:100]}/{stream[:40]},"
        " or fullcount streams set.",
    )


def set_contract(
    connection: Connection,
    environment_id: int,
    *,
    source: str,
    stream: str,
    terms: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> tuple[Contract, bool]:
    """Put a stream under contract, or change some terms; give the contract and whether it is new.

    Shape:  terms: fields of Contract that are told; the others stay, or are the template's
    Raises: UnknownName, ContractInvalid
    """
    lock_ledger(connection, environment_id)
    found = _find_source(connection, environment_id, source)
    if stream not in STREAM_NAMES:
        raise UnknownName(
            f"there is no stream {stream[:40]!r}", hint=f"Streams are {', '.join(STREAM_NAMES)}."
        )
    before = found.contracts.get(stream)
    contract = replace(before or Contract(), **terms)
    problems = find_contradictions(contract, now=now)
    if not problems:
        problems = _check_history(
            connection, environment_id, source=found, stream=stream, contract=contract
        )
    if problems:
        told = f"{problems[0].path} {problems[0].message}"
        raise ContractInvalid(told, problems=problems)
    if contract == before:
        return contract, False
    write_contracts(connection, environment_id, found.source_id, {stream: contract})
    stream_key = (found.source_id, stream)
    restart_stream(connection, environment_id, stream_key, contract, now=now)
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="stream.changed" if before else "stream.added",
        target=f"{source}/{stream}",
        details={"before": describe_contract(before), "after": describe_contract(contract)},
        now=now,
    )
    return contract, before is None


def remove_contract(
    connection: Connection,
    environment_id: int,
    *,
    source: str,
    stream: str,
    reason: str,
    actor: str,
    now: datetime,
) -> None:
    """Let a source owe a stream no more, and write down who decided that.

    Raises: UnknownName, NotContracted
    """
    lock_ledger(connection, environment_id)
    found, contract = find_contract(connection, environment_id, source=source, stream=stream)
    end_contract(connection, environment_id, found.source_id, stream, removed_at=now)
    record_act(
        connection,
        environment_id,
        actor=actor,
        action="stream.removed",
        target=f"{source}/{stream}",
        details={"before": describe_contract(contract), "reason": reason},
        now=now,
    )


def _find_source(connection: Connection, environment_id: int, source: str) -> Registered:
    found = read_register(connection, environment_id).get(source)
    if found is None:
        raise UnknownName(
            "there is no source of this name in this environment", hint="See GET /v1/sources."
        )
    return found


def _check_history(
    connection: Connection,
    environment_id: int,
    *,
    source: Registered,
    stream: str,
    contract: Contract,
) -> list[Problem]:
    """May the bucket change? Slots that are summed already must fit into the new ones."""
    sizes = read_bucket_sizes(connection, environment_id)
    before_s = sizes.get((source.source_id, stream), DEFAULT_BUCKET_S)
    has_sums = newest_slot(connection, environment_id, source.source_id, stream=stream) is not None
    if has_sums and contract.bucket_s % before_s:
        words = f"must be a multiple of {before_s} seconds, by which events are summed already"
        return [Problem("bucket_s", words)]
    if any(not is_boundary(key.valid_from, contract.bucket_s) for key in source.keys):
        words = "a key of the source begins within such a bucket; choose one that divides it"
        return [Problem("bucket_s", words)]
    return []
