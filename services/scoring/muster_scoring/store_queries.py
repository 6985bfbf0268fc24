"""Rows that a statement returns, in a transaction or in one of its own."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from muster_kit.db.engine import Database, Transaction
from sqlalchemy import text

Rows: TypeAlias = Sequence[Mapping[str, Any]]
"""What came back, its columns by name."""


async def fetch(transaction: Transaction, statement: str, **values: object) -> Rows:
    """Return what a statement returns."""
    result = await transaction.connection.execute(text(statement), values)
    return result.mappings().all()  # type: ignore[return-value]


async def read(database: Database, organization_id: str, statement: str, **values: object) -> Rows:
    """Return what a statement returns of an organization, "" for what has none."""
    async with database.transaction(organization_id) as transaction:
        return await fetch(transaction, statement, **values)
