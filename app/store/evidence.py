"""Say that what verdicts rest on has changed: the one place that makes kept verdicts be looked at
again. Whoever writes contracts, states, intervals, defects, heartbeats, seals or repairs says so in
the same transaction.
"""

from sqlalchemy import Connection, update

from app.store.tables import Environment
from app.store.tables.columns import table_of


def note_evidence(connection: Connection, environment_id: int) -> None:
    """Let the evidence counter of an environment rise; locks the environment's row."""
    environment = table_of(Environment)
    connection.execute(
        update(environment)
        .where(environment.c.environment_id == environment_id)
        .values(last_evidence_id=environment.c.last_evidence_id + 1)
    )
