"""${message[:1].upper() + message[1:]}."""

import sqlalchemy as sa
${imports if imports else ""}
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = ${repr(branch_labels)}
depends_on = ${repr(depends_on)}


def upgrade() -> None:
    """Go forward; there is no way back."""
    ${"\n".join(line for line in (upgrades or "pass").splitlines() if "# ###" not in line).strip()}
