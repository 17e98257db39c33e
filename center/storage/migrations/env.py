"""How a migration runs: on the connection that the store hands over, inside the store's transaction."""

from alembic import context

from center.storage.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
context.run_migrations()
