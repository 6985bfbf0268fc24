"""Runs a service's migrations on the connection that `muster_kit.db.migrate` opened."""

from alembic import context

options = context.config.attributes
context.configure(
    connection=options["connection"],
    version_table_schema=options["schema"],
)
with context.begin_transaction():
    context.run_migrations()
