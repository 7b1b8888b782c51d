"""The operator's door: the commands of `fullcount`. Each says what it did, with counts.

Exit codes: 0 done, 1 failed, 2 usage. What only one command needs is imported in it.
"""

# ruff: noqa: PLC0415 - a command starts in a moment; the server's imports alone take a second

import sys
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from app.base.clock import now
from app.base.config import Settings
from app.base.errors import AppError
from app.cli.dead import dead
from app.cli.options import AsJson, InEnvironment, open_database
from app.cli.output import print_error, print_json, print_rows, working
from app.cli.source_commands import sources, streams

application = typer.Typer(
    name="fullcount",
    help="Learning-progress analytics that can prove whether the data is complete.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
environments = typer.Typer(help="Make, weigh and list environments.", no_args_is_help=True)
keys = typer.Typer(help="Issue, list and revoke API keys.", no_args_is_help=True)
application.add_typer(environments, name="environments")
application.add_typer(keys, name="keys")
application.add_typer(sources, name="sources")
application.add_typer(dead, name="dead")
application.add_typer(streams, name="streams")

FIRST_ENVIRONMENT = "default"


def main(arguments: list[str] | None = None) -> None:
    """Run a command; what a person can do something about ends with a sentence, not a trace."""
    try:
        application(args=arguments)
    except AppError as error:
        print_error(error.detail, error.hint)
        sys.exit(1)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_url=False):
            name = "_".join(map(str, fault["loc"])).upper()
            print_error(f"FULLCOUNT_{name}: {fault['msg']}", "docs/settings.md tells each setting.")
        sys.exit(1)


def _tell_version(is_asked: bool) -> None:
    from importlib.metadata import version

    if is_asked:
        typer.echo(f"fullcount {version('fullcount')}")
        raise typer.Exit


@application.callback()
def _fullcount(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_tell_version, is_eager=True, help="Say the version, and leave."
        ),
    ] = False,
) -> None:
    pass


# Doors that stay open


@application.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Fold events too.")] = True,
) -> None:
    """Serve the API, with a worker inside; an empty database is set up first."""
    settings = Settings()
    if "public_url" not in settings.model_fields_set:
        shown = "127.0.0.1" if host in {"0.0.0.0", "::"} else host  # noqa: S104 - only shown
        settings = settings.model_copy(update={"public_url": f"http://{shown}:{port}"})
    _set_up(settings)
    typer.echo(f"Serving on {settings.public_url} (docs: /docs, OData: /odata/v4/)", err=True)
    from app.cli.server import run_server

    run_server(settings, host=host, port=port, worker=worker)


def _set_up(settings: Settings) -> None:
    """Migrate an empty database, make its first environment and print the first keys, once."""
    from app.store.instance import keep_secret
    from app.store.migrate import migrate_store, read_schema

    with open_database(migrated=False) as store:
        is_empty = read_schema(store).current is None
        if is_empty:
            migrate_store(store)
            _print_first_keys(store)
    with open_database() as store:
        keep_secret(store, settings)


def _print_first_keys(store: Any) -> None:
    from app.access.environments import add_environment
    from app.access.keys import issue_key
    from app.store.engine import transaction

    typer.echo("Set up an empty database. Its first keys are shown this once:", err=True)
    wanted = {
        "read": ("read",),
        "ingest": ("ingest",),
        "operator": ("read", "pii", "operate", "admin"),
    }
    with transaction(store) as connection:
        environment_id = add_environment(connection, environment_key=FIRST_ENVIRONMENT)
        issued = {
            name: issue_key(connection, environment_id, scopes=scopes, name=name)
            for name, scopes in wanted.items()
        }
    for name, key in issued.items():
        typer.echo(f"  {name:<9} {key.key}   ({', '.join(key.scopes)})")
    typer.echo("  Register a source next: fullcount sources add NAME -e default", err=True)


@application.command()
def work() -> None:
    """Fold events until told to stop: a worker beside a server started with --no-worker."""
    from app.base.observe import configure_logs
    from app.worker import run_worker

    settings = Settings()
    with open_database():
        typer.echo("Working; stop with Ctrl-C", err=True)
    configure_logs(settings.log_format)
    run_worker(settings)


@application.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")] = 8000,
    reset: Annotated[bool, typer.Option("--reset", help="Make the demo's data anew.")] = False,
) -> None:
    """Serve two environments of simulated learners."""
    from app.cli.demo import run_demo

    raise typer.Exit(run_demo(Settings(), port=port, reset=reset))


# Work that ends


@application.command()
def migrate(as_json: AsJson = False) -> None:
    """Bring the schema of the database to this program's."""
    from app.store.instance import keep_secret
    from app.store.migrate import migrate_store

    with open_database(migrated=False) as store, working("Migrating", quiet=as_json):
        before = migrate_store(store)
        keep_secret(store, Settings())
    if as_json:
        print_json({"from": before.current, "to": before.head, "changed": not before.is_current})
    elif before.is_current:
        typer.echo(f"Nothing to do: the schema is at {before.head}.")
    else:
        typer.echo(f"Migrated from {before.current or 'an empty database'} to {before.head}.")


@application.command()
def doctor(as_json: AsJson = False) -> None:
    """Check settings, database, schema, clock, catalog and books; change nothing."""
    from app.cli.doctor import examine

    with open_database(migrated=False) as store, working("Looking", quiet=as_json):
        findings = list(examine(Settings(), store))
    bad_count = sum(not finding.is_well for finding in findings)
    if as_json:
        print_json({"healthy": bad_count == 0, "findings": [asdict(f) for f in findings]})
    else:
        for finding in findings:
            typer.echo(f"{'ok  ' if finding.is_well else 'BAD '} {finding.name}: {finding.told}")
            if finding.hint:
                typer.echo(f"     {finding.hint}")
        typer.echo(f"{len(findings)} checks, {bad_count} found something wrong")
    if bad_count:
        raise typer.Exit(1)


@application.command()
def ingest(
    files: Annotated[
        list[str], typer.Argument(help="NDJSON files, also packed (.gz); - reads standard input.")
    ],
    environment: InEnvironment,
    wait: Annotated[bool, typer.Option("--wait", help="Until all of it is folded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take events in from files; goes on where an earlier run stopped."""
    from app.cli.ingest import run_ingest

    settings = Settings()
    raise typer.Exit(
        run_ingest(settings, environment=environment, files=files, wait=wait, as_json=as_json)
    )


@application.command("import-oulad")
def import_oulad(
    folder: Annotated[str, typer.Argument(help="OULAD's CSV files, or its folder source/.")],
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only this environment, oulad-aaa-2013j.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until all of it is folded.")] = False,
    as_json: AsJson = False,
) -> None:
    """Take the Open University's learning data in, an environment for each presentation."""
    from app.cli.import_oulad import run_import

    raise typer.Exit(run_import(Settings(), folder, only=only or (), wait=wait, as_json=as_json))


@application.command()
def books(environment: InEnvironment, as_json: AsJson = False) -> None:
    """Count the journal row by row: is every accepted event accounted for? Alarms if not."""
    from app.access.environments import environment_named
    from app.ledger.books import read_books
    from app.ledger.watch import recount_environment
    from app.store.engine import snapshot

    with open_database() as store, working("Counting", quiet=as_json):
        with snapshot(store) as read:
            environment_id = environment_named(read, environment).environment_id
        faults = recount_environment(store, environment_id)
        with snapshot(store) as read:
            told = read_books(read, environment_id).as_dict()
    if as_json:
        print_json({**told, "balanced": told["balanced"] and not faults, "faults": faults})
    else:
        columns = ["source", "stream", "received", "accepted", "duplicate", "conflict"]
        columns += ["rejected", "applied", "superseded", "pending", "dead", "waived"]
        print_rows(told["streams"], columns=columns, what="streams")
        for fault in faults:
            typer.echo(f"  {fault}")
        total = f"{told['received']} received, {told['accepted']} accepted"
        typer.echo(f"{'The books do not balance' if faults else 'The books balance'}: {total}.")
    if faults:
        raise typer.Exit(1)


@application.command()
def rebuild(
    environment: InEnvironment,
    stream: Annotated[str | None, typer.Option(help="What has events of this stream.")] = None,
    module: Annotated[str | None, typer.Option(help="What names this module.")] = None,
    learner: Annotated[str | None, typer.Option(help="What names this learner.")] = None,
    from_: Annotated[
        str | None, typer.Option("--from", help="What has events received from then on.")
    ] = None,
    to: Annotated[str | None, typer.Option("--to", help="... and before then.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Fold everything, or a part, again from the journal; repair what is not as it should be."""
    from app.cli.rebuild import parse_moment_option, run_rebuild
    from app.processing.rebuild_scope import RebuildScope

    scope = RebuildScope(
        stream=stream,
        module_key=module,
        learner_key=learner,
        from_at=parse_moment_option(from_, option="--from"),
        to_at=parse_moment_option(to, option="--to"),
    )
    raise typer.Exit(run_rebuild(Settings(), environment, scope, wait=wait, as_json=as_json))


# Environments, keys, sources
# Environments, keys; sources and streams are in source_commands.py


@environments.command("add")
def environments_add(
    environment: Annotated[str, typer.Argument(help="Its key, as it stands in answers.")],
    name: Annotated[str, typer.Option(help="What people call it.")] = "",
    timezone: Annotated[str, typer.Option(help="Such as Europe/Vienna.")] = "UTC",
    as_json: AsJson = False,
) -> None:
    """Make an environment."""
    from app.access.environments import add_environment
    from app.store.engine import transaction

    with open_database() as store, transaction(store) as connection:
        add_environment(connection, environment_key=environment, name=name, timezone=timezone)
    if as_json:
        print_json({"environment": environment, "name": name or environment, "timezone": timezone})
    else:
        typer.echo(f"Made the environment {environment}.")


@environments.command("set")
def environments_set(
    environment: Annotated[str, typer.Argument(help="Its key.")],
    weight: Annotated[
        int, typer.Option(min=1, max=100, help="How often it comes round, beside others' 1.")
    ],
    as_json: AsJson = False,
) -> None:
    """Change how often an environment has its turn."""
    from app.access.environments import environment_named, set_weight
    from app.store.engine import transaction

    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        set_weight(connection, facts.environment_id, weight)
    if as_json:
        print_json({"environment": environment, "weight": weight, "was": facts.weight})
    else:
        typer.echo(f"{environment} weighs {weight} from now on; it was {facts.weight}.")


@environments.command("list")
def environments_list(as_json: AsJson = False) -> None:
    """List the environments."""
    from app.access.environments import list_environments
    from app.store.engine import snapshot

    with open_database() as store, snapshot(store) as connection:
        rows = [asdict(facts) for facts in list_environments(connection)]
    names = ("environment", "name", "timezone", "weight")
    columns = (*names, "last_seq", "last_revision", "created_at")
    shown = [{column: row[column] for column in columns} for row in rows]
    if as_json:
        print_json({"items": shown, "next": None})
    else:
        print_rows(shown, columns=columns, what="environments")


@keys.command("add")
def keys_add(
    environment: InEnvironment,
    scope: Annotated[list[str], typer.Option(help="ingest, read, pii, operate, admin.")],
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="Expires after.")] = None,
    as_json: AsJson = False,
) -> None:
    """Issue a key; it is shown this once."""
    from app.access.environments import environment_named
    from app.access.keys import issue_key
    from app.store.engine import transaction

    expires_at: datetime | None = now() + timedelta(days=days) if days else None
    asked = [part.strip() for words in scope for part in words.split(",") if part.strip()]
    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        issued = issue_key(
            connection, facts.environment_id, scopes=asked, name=name, expires_at=expires_at
        )
    if as_json:
        print_json(asdict(issued))
    else:
        typer.echo(f"{issued.key}\nScopes in {environment}: {', '.join(issued.scopes)}.")


@keys.command("list")
def keys_list(environment: InEnvironment, as_json: AsJson = False) -> None:
    """List the keys of an environment; their secrets are not kept."""
    from app.access.environments import environment_named
    from app.access.keys import list_keys
    from app.store.engine import snapshot

    with open_database() as store, snapshot(store) as connection:
        facts = environment_named(connection, environment)
        rows = [asdict(key) for key in list_keys(connection, facts.environment_id)]
    if as_json:
        print_json({"items": rows, "next": None})
    else:
        columns = ("key_id", "name", "scopes", "expires_at", "revoked_at", "last_used_at")
        print_rows(rows, columns=columns, what="keys")


@keys.command("revoke")
def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="Its public part.")],
    environment: InEnvironment,
    as_json: AsJson = False,
) -> None:
    """Let a key open nothing from now on."""
    from app.access.environments import environment_named
    from app.access.keys import revoke_key
    from app.store.engine import transaction

    with open_database() as store, transaction(store) as connection:
        facts = environment_named(connection, environment)
        revoke_key(connection, facts.environment_id, key_id)
    if as_json:
        print_json({"key_id": key_id, "revoked": True})
    else:
        typer.echo(f"Revoked the key {key_id}.")
