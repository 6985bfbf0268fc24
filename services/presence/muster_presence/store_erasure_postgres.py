"""Erases people from the ledger, in the transaction of the request."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from muster_kit.db import Transaction

from muster_presence.model import ScopeId, ScopeKind
from muster_presence.scope_keys import KEEP_MS
from muster_presence.statements_ledger import ERASE, LOCK

_KEPT: Final = timedelta(milliseconds=KEEP_MS)


async def erase_intervals(
    transaction: Transaction, user_id: str, time: datetime
) -> tuple[int, Collection[ScopeId]]:
    """Erase someone's intervals, and whatever is told later of those that began up to a time.

    Returns how many there were, and the scopes of those that the index may still know of.
    """
    organization_id = transaction.organization_id
    await transaction.connection.execute(LOCK)
    names = {
        "organization_id": organization_id,
        "user_id": user_id,
        "erase_time": time,
        "since": time - _KEPT,
    }
    rows = (await transaction.connection.execute(ERASE, names)).all()
    return len(rows), {
        ScopeId(organization_id, ScopeKind(row.scope_kind), row.scope_id) for row in rows if row.is_known
    }
