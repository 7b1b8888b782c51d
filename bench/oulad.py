"""OULAD's mapped tables in, CloudEvents and expected figures out, both by DuckDB (bench/oulad.sql).

The figures come straight from the source tables: nothing of ours has touched them.
Data: OULAD, Kuzilek et al. 2017, CC BY 4.0, changed (docs/mapping-oulad.md).
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import duckdb

ROOT = Path(__file__).parents[1]
SOURCE_KEY = "oulad"
SMALL_ENVIRONMENTS = ("oulad-eee-2013j", "oulad-aaa-2013j")

_ALL_EVENTS = "select * from read_parquet('{folder}/events.parquet')"
_SMALL_EVENTS = "select * exclude (event_id) from read_csv('{folder}/events_small.csv.gz')"


@dataclass(frozen=True, slots=True)
class Figures:
    """What is said of one module type at a moment.

    completed: learners' modules that were completed
    average_score: of the completed ones that have a score, 0 to 100; None where none has
    overdue: due before the moment, neither completed nor withdrawn from
    """

    module_type: str
    completed: int
    average_score: float | None
    overdue: int


def find_oulad() -> Path | None:
    """The folder of the mapped tables, or None where it is not at hand."""
    base = Path(os.environ.get("FULLCOUNT_TEST_DATA", ROOT.parent / "shared" / "data"))
    folder = base / "oulad" / "mapped"
    return folder if (folder / "environments.csv").is_file() else None


def map_oulad(
    folder: Path, *, environments: Sequence[str] = (), small: bool = False
) -> duckdb.DuckDBPyConnection:
    """Map the tables of these environments, or of all, to the table `sent`.

    Shape: sent(env_id, part, place, event): the event as JSON text, in the order of the rest
    """
    connection = duckdb.connect()
    connection.execute("set enable_progress_bar = false")
    events = (_SMALL_EVENTS if small else _ALL_EVENTS).format(folder=folder)
    names = list(environments)
    for table, query in (
        ("ev", events),
        ("env", f"select * from read_csv('{folder}/environments.csv')"),
        ("modules", f"select * from read_csv('{folder}/modules.csv.gz')"),
        ("users", f"select * from read_csv('{folder}/users.csv.gz')"),
    ):
        where = "where list_contains($names, env_id)" if names else ""
        parameters = {"names": names} if names else {}
        connection.execute(f"create table {table} as select * from ({query}) {where}", parameters)
    if small:
        connection.execute(
            "delete from users where (env_id, user_id) not in (select env_id, user_id from ev)"
        )
    connection.execute((Path(__file__).parent / "oulad.sql").read_text())
    return connection


def environment_names(connection: duckdb.DuckDBPyConnection) -> list[str]:
    """The environments that are mapped, the smallest first."""
    rows = connection.execute("select env_id from sent group by env_id order by count(*), env_id")
    return [str(row[0]) for row in rows.fetchall()]


def read_events(
    connection: duckdb.DuckDBPyConnection, environment: str, *, batch_count: int = 1_000
) -> Iterator[list[str]]:
    """The events of an environment as JSON texts, in batches, in their order."""
    rows = connection.cursor().execute(
        "select event from sent where env_id = $1 order by part, place", [environment]
    )
    while batch := rows.fetchmany(batch_count):
        yield [row[0] for row in batch]


def write_ndjson(connection: duckdb.DuckDBPyConnection, target: Path) -> list[Path]:
    """Write one file an environment, `<environment>.ndjson`; give the files."""
    target.mkdir(parents=True, exist_ok=True)
    files = []
    for environment in environment_names(connection):
        path = target / f"{environment}.ndjson"
        with path.open("w", encoding="utf-8") as file:
            for batch in read_events(connection, environment):
                file.write("\n".join(batch) + "\n")
        files.append(path)
    return files


def expected_figures(
    connection: duckdb.DuckDBPyConnection, environment: str, *, as_of: datetime
) -> list[Figures]:
    """What the source tables say of each module type of an environment, by its name."""
    rows = connection.execute(
        """
        with done as (select user_id, module_id, module_type, max(score) as score from ev
                      where env_id = $env and event_type = 'completed' and occurred_on <= $day
                      group by all),
             late as (select d.module_type, count(*) as overdue
                      from users u join due d using (env_id)
                      where u.env_id = $env and d.due_on < $day
                        and (u.unregistered_on is null or u.unregistered_on > $day)
                        and (u.user_id, d.module_id) not in (select user_id, module_id from done)
                      group by all),
             counts as (select module_type, count(*) as completed, avg(score) as average_score
                        from done group by all)
        select t.module_type, coalesce(completed, 0), average_score, coalesce(overdue, 0)
        from (select module_type from done union select module_type from late) t
             left join counts using (module_type) left join late using (module_type)
        order by t.module_type
        """,
        {"env": environment, "day": as_of.date()},
    )
    return [Figures(*row) for row in rows.fetchall()]
