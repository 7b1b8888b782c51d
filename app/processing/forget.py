"""Let go of rows that were replaced so long ago that no walk can still want them."""

from datetime import timedelta

from sqlalchemy import select

from app.base.clock import now
from app.base.config import Settings
from app.store.engine import Store, snapshot, transaction
from app.store.past import forget_past
from app.store.tables import Environment
from app.store.tables.columns import table_of


def forget_all(store: Store, settings: Settings) -> int:
    """Forget, in each environment, what was replaced before the time kept; give how many rows."""
    environment = table_of(Environment)
    with snapshot(store) as connection:
        environment_ids = (
            connection.execute(
                select(environment.c.environment_id),
                execution_options={"across_environments": "each environment forgets by itself"},
            )
            .scalars()
            .all()
        )
    before = now() - timedelta(hours=settings.limit_past_hours)
    count = 0
    for environment_id in environment_ids:
        with transaction(store) as connection:
            count += forget_past(connection, environment_id, before=before)
    return count
