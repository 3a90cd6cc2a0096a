"""How alembic reaches the ledger: over the connection, and within the transaction, that the opener hands it."""

from alembic import context

from ocelog.ledger.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
