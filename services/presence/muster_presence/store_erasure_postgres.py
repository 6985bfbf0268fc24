"""Erases people from the ledger, in the transaction of the request."""

from collections.abc import Collection

from muster_kit.db import Transaction

from muster_presence.model import ScopeId, ScopeKind
from muster_presence.statements_ledger import ERASE, LOCK


async def erase_intervals(transaction: Transaction, user_id: str) -> tuple[int, Collection[ScopeId]]:
    """Erase someone's intervals, with what is still on its way.

    Returns how many there were, and the scopes of those that were open.
    """
    organization_id = transaction.organization_id
    await transaction.connection.execute(LOCK)
    rows = (
        await transaction.connection.execute(ERASE, {"organization_id": organization_id, "user_id": user_id})
    ).all()
    return len(rows), {
        ScopeId(organization_id, ScopeKind(row.scope_kind), row.scope_id)
        for row in rows
        if row.leave_time is None
    }
