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
    passed, not_passed: completed ones that were judged
    attempts: submissions
    parts_done: items of the coursework that were handed in
    attended: days of live rooms on which a learner was there
    clicks: of activity; time_spent_s: half an hour for each day a learner was active in a module
    """

    module_type: str
    completed: int = 0
    average_score: float | None = None
    overdue: int = 0
    passed: int = 0
    not_passed: int = 0
    attempts: int = 0
    parts_done: int = 0
    attended: int = 0
    clicks: int = 0
    time_spent_s: int = 0


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
        with happened as (select * from ev where env_id = $env and occurred_on <= $day),
             done as (select user_id, module_id, module_type, max(score) as score,
                             bool_or(passed) as passed
                      from happened where event_type = 'completed' group by all),
             late as (select d.module_type, count(*) as overdue
                      from users u join due d using (env_id)
                      where u.env_id = $env and d.due_on < $day
                        and (u.unregistered_on is null or u.unregistered_on > $day)
                        and (u.user_id, d.module_id) not in (select user_id, module_id from done)
                      group by all),
             counts as (select module_type, count(*) as completed, avg(score) as average_score,
                               count(*) filter (passed) as passed,
                               count(*) filter (not passed) as not_passed
                        from done group by all),
             tasks as (select module_type, count(*) as n from happened
                       where source_ref like 'sa:%' group by all),
             rooms as (select count(*) as attended from happened where module_type = 'ilt'),
             opened as (select module_type, sum(clicks) as clicks,
                               1800 * count(distinct (user_id, module_id, occurred_on)) as seconds
                        from happened where clicks is not null and module_type <> 'ilt'
                        group by all)
        select t.module_type, coalesce(completed, 0), average_score, coalesce(overdue, 0),
               coalesce(passed, 0), coalesce(not_passed, 0),
               case when t.module_type <> 'checklist' then coalesce(tasks.n, 0) else 0 end,
               case when t.module_type = 'checklist' then coalesce(tasks.n, 0) else 0 end,
               case when t.module_type = 'ilt' then attended else 0 end,
               coalesce(clicks, 0)::bigint, coalesce(seconds, 0)
        from (select module_type from happened where event_type not in ('enrolled', 'unenrolled')
              union select module_type from late) t
             left join counts using (module_type) left join late using (module_type)
             left join tasks using (module_type) left join opened using (module_type), rooms
        order by t.module_type
        """,
        {"env": environment, "day": as_of.date()},
    )
    return [Figures(*row) for row in rows.fetchall()]
