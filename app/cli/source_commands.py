"""Commands about sources and the streams they owe: register, list, rotate, seal; contracts."""

# ruff: noqa: PLC0415 - a command starts in a moment; the server's imports alone take a second

from datetime import datetime
from typing import Annotated, Any

import typer

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import BadOption
from app.cli.options import AsJson, InEnvironment, open_database
from app.cli.output import print_json, print_rows

sources = typer.Typer(help="Register, list, rotate and seal sources.", no_args_is_help=True)
streams = typer.Typer(help="What sources owe: contracts of streams.", no_args_is_help=True)

_ACTOR = "cli"
_SECONDS = (
    "bucket_s",
    "close_delay_s",
    "grace_s",
    "objective_s",
    "heartbeat_s",
    "lateness_s",
    "stall_s",
    "skew_s",
)

SourceName = Annotated[str, typer.Argument(help="Its name, as its events spell it.")]
StreamName = Annotated[str, typer.Argument(help="A module type, people, catalog, assignments.")]


@sources.command("add")
def sources_add(
    source: SourceName,
    environment: InEnvironment,
    kind: Annotated[str, typer.Option(help="push, pull, file, xapi.")] = "push",
    takes_occurred_at: Annotated[
        bool, typer.Option("--takes-occurred-at", help="Events may come without recordedtime.")
    ] = False,
    endpoint: Annotated[str | None, typer.Option(help="Its pages, if it is pulled.")] = None,
    evidence_url: Annotated[
        str | None, typer.Option(help="Where it is asked which events it made.")
    ] = None,
    stream: Annotated[
        list[str] | None, typer.Option("--stream", help="It owes only this one; all by default.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Register a source; the secret of its evidence is shown this once."""
    from app.access.environments import environment_named
    from app.base.outbound import check_url
    from app.intake.sources import add_source
    from app.learning.modules import STREAM_NAMES
    from app.store.engine import transaction

    for url in filter(None, (endpoint, evidence_url)):
        check_url(url, Settings())
    owed = tuple(dict.fromkeys(stream)) if stream else STREAM_NAMES
    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        made = add_source(
            connection,
            facts.environment_id,
            source_key=source,
            kind=kind,
            takes_occurred_at=takes_occurred_at,
            endpoint=endpoint,
            evidence_url=evidence_url,
            streams=owed,
        )
    if as_json:
        print_json({"source": made.source, "key_id": made.key_id, "secret": made.secret})
    else:
        told = "every stream" if owed == STREAM_NAMES else ", ".join(owed)
        typer.echo(f"Registered {source} in {environment}: it owes {told} from now on.")
        typer.echo(f"Secret of its evidence ({made.key_id}): {made.secret}")


@sources.command("list")
def sources_list(environment: InEnvironment, as_json: AsJson = False) -> None:
    """List the sources of an environment."""
    from app.access.environments import environment_named
    from app.intake.sources import list_sources
    from app.store.engine import snapshot

    with open_database() as store, snapshot(store) as connection:
        facts = environment_named(connection, environment)
        rows = list_sources(connection, facts.environment_id)
    if as_json:
        print_json({"items": rows, "next": None})
    else:
        columns = ("source", "kind", "takes_occurred_at", "created_at", "sealed_at")
        print_rows(rows, columns=columns, what="sources")


@sources.command("ask")
def sources_ask(
    source: SourceName,
    environment: InEnvironment,
    evidence_url: Annotated[
        str, typer.Argument(help="Its URL before /fm/ranges and /fm/events; none: '-'.")
    ],
) -> None:
    """Say where a source is asked which events it made."""
    from app.access.environments import environment_named
    from app.base.outbound import check_url
    from app.intake.sources import set_evidence_url
    from app.store.engine import transaction

    url = None if evidence_url == "-" else evidence_url
    if url is not None:
        check_url(url, Settings())
    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        set_evidence_url(connection, facts.environment_id, source, url)
    typer.echo(f"{source} is asked at {url}." if url else f"{source} is asked no more.")


@sources.command("rotate")
def sources_rotate(source: SourceName, environment: InEnvironment, as_json: AsJson = False) -> None:
    """Give a source a new key of its evidence, an hour from now; it is shown this once."""
    from app.access.environments import environment_named
    from app.intake.sources import rotate_key
    from app.store.engine import transaction

    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        made, valid_from = rotate_key(connection, facts.environment_id, source)
    if as_json:
        told = {"source": source, "key_id": made.key_id, "secret": made.secret}
        print_json({**told, "valid_from": valid_from})
    else:
        typer.echo(f"{source} sums with {made.key_id} what is recorded from {valid_from} on.")
        typer.echo(f"Secret of its evidence ({made.key_id}): {made.secret}")


@sources.command("seal")
def sources_seal(source: SourceName, environment: InEnvironment, as_json: AsJson = False) -> None:
    """Retire a source: nothing more is accepted from it."""
    from app.access.environments import environment_named
    from app.intake.sources import seal_source
    from app.store.engine import transaction

    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        sealed_at = seal_source(connection, facts.environment_id, source)
    if as_json:
        print_json({"source": source, "sealed_at": sealed_at})
    else:
        typer.echo(f"Sealed {source} at {sealed_at:%Y-%m-%d %H:%M:%S} UTC.")


@streams.command("list")
def streams_list(environment: InEnvironment, as_json: AsJson = False) -> None:
    """List every stream with the sources that owe it, and their terms."""
    from app.access.environments import environment_named
    from app.ledger.streams import list_contracts
    from app.store.engine import snapshot

    with open_database() as store, snapshot(store) as connection:
        facts = environment_named(connection, environment)
        items = list_contracts(connection, facts.environment_id)
    if as_json:
        print_json({"items": items, "next": None})
        return
    rows = [
        {"stream": item["stream"], "source": part["source"], **(part["contract"] or {})}
        for item in items
        for part in item["sources"]
        if part["contracted"]
    ]
    columns = ("stream", "source", "from", *_SECONDS[:5], "required_anchor", "shards")
    print_rows(rows, columns=columns, what="contracts")


@streams.command("set")
def streams_set(
    source: SourceName,
    stream: StreamName,
    environment: InEnvironment,
    term: Annotated[
        list[str] | None,
        typer.Option("--term", help="NAME=VALUE, such as objective_s=3600, required_anchor=record"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Put a stream under contract, or change terms of its contract."""
    from app.access.environments import environment_named
    from app.ledger.streams import describe_contract, set_contract
    from app.store.engine import transaction

    terms = dict(_read_term(text) for text in term or ())
    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        contract, is_new = set_contract(
            connection,
            facts.environment_id,
            source=source,
            stream=stream,
            terms=terms,
            actor=_ACTOR,
            now=now(),
        )
    told = describe_contract(contract)
    if as_json:
        print_json({"source": source, "stream": stream, "contract": told})
    else:
        typer.echo(f"{source} owes {stream}: {'new' if is_new else 'changed'}.")
        print_rows([told or {}], columns=tuple(told or {}), what="contract")


@streams.command("remove")
def streams_remove(
    source: SourceName,
    stream: StreamName,
    environment: InEnvironment,
    reason: Annotated[str, typer.Option(help="Why; it is kept.")],
    as_json: AsJson = False,
) -> None:
    """Let a source owe a stream no more; who decided it is written down."""
    from app.access.environments import environment_named
    from app.ledger.streams import remove_contract
    from app.store.engine import transaction

    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        remove_contract(
            connection,
            facts.environment_id,
            source=source,
            stream=stream,
            reason=reason,
            actor=_ACTOR,
            now=now(),
        )
    if as_json:
        print_json({"source": source, "stream": stream, "removed": True})
    else:
        typer.echo(f"{source} owes {stream} no more.")


def _read_term(text: str) -> tuple[str, Any]:
    """One term of a contract, as NAME=VALUE.

    Raises: BadOption
    """
    from app.learning.times import parse_time

    name, _, value = text.partition("=")
    try:
        if name == "from":
            moment: datetime = parse_time(value)
            return "from_at", moment
        if name == "shards":
            return name, tuple(value.split(","))
        if name in _SECONDS:
            return name, int(value)
    except ValueError as error:
        raise BadOption(f"{name} cannot be read: {str(error)[:100]}", target=name) from None
    if name == "required_anchor":
        return name, value
    known = ", ".join(("from", *_SECONDS, "required_anchor", "shards"))
    raise BadOption(f"a contract has no term {name[:40]!r}", hint=f"Terms are {known}.")
