"""`fullcount dead`: what was given up is listed, tried again, or waived with a reason."""

# ruff: noqa: PLC0415 - a command starts in a moment; what only one needs is imported in it

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.base.clock import now
from app.base.config import Settings
from app.cli.output import print_json, print_rows, write_count

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from app.processing.dead import DeadScope, Settled

_ROWS = 1_000

dead = typer.Typer(help="List, redrive and waive dead events.", no_args_is_help=True)

InEnvironment = Annotated[str, typer.Option("--environment", "-e", help="The environment.")]
OfEntity = Annotated[str | None, typer.Option("--entity", help="Those of this entity.")]
OfSeqs = Annotated[list[int] | None, typer.Option("--seq", min=1, help="This one; repeatable.")]
OfStream = Annotated[str | None, typer.Option("--stream", help="Those of this stream.")]
OfAll = Annotated[bool, typer.Option("--all", help="All of them.")]
By = Annotated[str, typer.Option("--by", help="Who asks for it, for the audit.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


@dead.command("list")
def dead_list(environment: InEnvironment, as_json: AsJson = False) -> None:
    """List the entities that have dead events, with the error."""
    from app.processing.dead import list_dead

    rows = _run(environment, lambda read, number: list_dead(read, number, limit=_ROWS + 1))
    shown = rows[:_ROWS]
    following = shown[-1]["entity"] if len(rows) > _ROWS else None
    if as_json:
        print_json({"items": shown, "next": following})
        return
    columns = ("entity", "events", "first_seq", "last_seq", "attempts", "since", "error")
    print_rows(shown, columns=columns, what="entities")
    if following is not None:
        typer.echo(f"The first {_ROWS:,} are shown; GET /v1/dead pages through all.")


@dead.command("redrive")
def dead_redrive(
    environment: InEnvironment,
    entity: OfEntity = None,
    seq: OfSeqs = None,
    stream: OfStream = None,
    everything: OfAll = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Let dead events be tried again."""
    from app.processing.dead import redrive_dead

    scope = _read_choice(entity, seq, stream=stream, everything=everything)
    done = _run(
        environment,
        lambda write, number: redrive_dead(write, number, scope, actor=_actor(by), now=now()),
        writing=True,
    )
    _tell(done, scope, environment, what="Redrove", as_json=as_json)


@dead.command("waive")
def dead_waive(
    environment: InEnvironment,
    reason: Annotated[str, typer.Option(help="Why they need not count.")],
    entity: OfEntity = None,
    seq: OfSeqs = None,
    stream: OfStream = None,
    everything: OfAll = False,
    by: By = "",
    as_json: AsJson = False,
) -> None:
    """Let dead events count no more; the reason is kept."""
    from app.processing.dead import waive_dead

    if not reason.strip():
        raise typer.BadParameter("a reason is needed", param_hint="--reason")
    scope = _read_choice(entity, seq, stream=stream, everything=everything)
    done = _run(
        environment,
        lambda write, number: waive_dead(
            write, number, scope, actor=_actor(by), reason=reason[:2000], now=now()
        ),
        writing=True,
    )
    _tell(done, scope, environment, what="Waived", as_json=as_json)


def _actor(by: str) -> str:
    return f"cli ({by[:100]})" if by else "cli"


def _read_choice(
    entity: str | None, seqs: list[int] | None, *, stream: str | None, everything: bool
) -> "DeadScope":
    from app.processing.dead import DeadScope

    if sum([entity is not None, bool(seqs), stream is not None, everything]) != 1:
        raise typer.BadParameter("choose by one of --entity, --seq, --stream, --all")
    return DeadScope(entity, tuple(seqs or ()), stream)


def _run(
    environment: str, act: "Callable[[Connection, int], Any]", *, writing: bool = False
) -> Any:
    from app.access.environments import environment_named
    from app.store.engine import close_store, open_store, snapshot, transaction
    from app.store.migrate import require_schema

    store = open_store(Settings().database_url)
    try:
        require_schema(store)
        with (transaction if writing else snapshot)(store) as connection:
            return act(connection, environment_named(connection, environment).environment_id)
    finally:
        close_store(store)


def _tell(
    done: "Settled", scope: "DeadScope", environment: str, *, what: str, as_json: bool
) -> None:
    if as_json:
        told = {"events": done.event_count, "entities": done.entity_count}
        print_json({**told, "audit_id": done.audit_id})
        return
    events = write_count(done.event_count, "events")
    entities = write_count(done.entity_count, "entities")
    typer.echo(f"{what} {events} of {entities} in {environment} ({scope.told}).")
