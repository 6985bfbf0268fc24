"""Runs a service's migrations on the connection that `muster_kit.db.migrate` opened."""

from alembic import context

options = context.config.attributes
context.configure(
    connection=options["connection"],
    target_metadata=options["metadata"],
    version_table_schema=options["schema"],
    include_schemas=True,
)
with context.begin_transaction():
    context.run_migrations()
