"""The roles, and the wall between organizations that migrations put around tables."""

from typing import Final, Protocol

from sqlalchemy import Executable

from muster_kit.db.engine import ORGANIZATION_SETTING

OWNER_ROLE: Final = "muster_owner"
"""Owns the schemas and runs the migrations; no service runs as this role."""
APP_ROLE: Final = "muster_app"
"""What the services run as: row-level security shows it one organization at a time."""
WRITER_ROLE: Final = "muster_writer"
"""What batch writers and timers run as: it sees all organizations, in the few tables they need."""


class Operations(Protocol):
    """What is used here of `alembic.op`."""

    def execute(self, sqltext: Executable | str) -> None:
        """Run a statement."""
        ...


def row_level_security(op: Operations, schema: str, table: str, *, writer: bool = False) -> None:
    """Wall a table off by its column `organization_id`, and grant reading and writing it.

    The app's role then sees the rows of the transaction's organization, and no row without one.
    `writer` tables are also open to the writer's role, for all organizations. The owner is walled
    off too: a migration that moves data lifts FORCE while it does.
    """
    name = f"{schema}.{table}"
    rule = f"organization_id = nullif(current_setting('{ORGANIZATION_SETTING}', true), '')"
    op.execute(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY organization ON {name} TO {APP_ROLE} USING ({rule}) WITH CHECK ({rule})")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {APP_ROLE}")
    if writer:
        op.execute(f"CREATE POLICY writer ON {name} TO {WRITER_ROLE} USING (true) WITH CHECK (true)")
        op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {name} TO {WRITER_ROLE}")
