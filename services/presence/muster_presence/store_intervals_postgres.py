"""The ledger in PostgreSQL, as it is read."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from muster_kit.db import Database
from sqlalchemy import Row, text

from muster_presence.model import Cause, Role, ScopeId, ScopeKind
from muster_presence.store_intervals import HistoryFilter, HistoryPlace, Stay

# Who came again without having gone was here until then, at least for who reads it now: the goodbye is on
# its way, or the index had lost them.
_STAY: Final = """
SELECT kept.organization_id, kept.scope_kind, kept.scope_id, kept.user_id, kept.display_name, kept.role,
    kept.participant_id, kept.enter_time, coalesce(kept.leave_time, again.enter_time) AS leave_time,
    CASE WHEN again.enter_time IS NULL THEN kept.cause ELSE :vanished END AS cause,
    kept.last_activity_time, kept.interval_id
FROM presence.presence_interval AS kept
LEFT JOIN LATERAL (
    SELECT min(later.enter_time) AS enter_time FROM presence.presence_interval AS later
    WHERE kept.leave_time IS NULL
      AND (later.organization_id, later.scope_kind, later.scope_id, later.user_id)
        = (kept.organization_id, kept.scope_kind, kept.scope_id, kept.user_id)
      AND later.enter_time > kept.enter_time
) AS again ON true
WHERE kept.organization_id = :organization_id
"""

_OF_SCOPE: Final = " AND kept.scope_kind = :scope_kind AND kept.scope_id = :scope_id"
_BEFORE: Final = " AND kept.enter_time < :end_time"
# The second part goes by an index, the first is exact.
_SINCE: Final = """
  AND (coalesce(kept.leave_time, again.enter_time) IS NULL
       OR coalesce(kept.leave_time, again.enter_time) > :start_time)
  AND (kept.leave_time IS NULL OR kept.leave_time > :start_time)
"""
_OWN: Final = " AND kept.user_id = :visible_to"
_AT_HOME: Final = " AND kept.scope_kind = :home AND kept.scope_id = ''"
_PAGE: Final = " ORDER BY enter_time DESC, interval_id DESC LIMIT :limit"

_LAST: Final = text("""
SELECT scope_kind, scope_id, max(last_activity_time) AS last_activity_time
FROM presence.presence_interval
WHERE organization_id = :organization_id AND role <> :staff AND last_activity_time IS NOT NULL
  AND (scope_kind, scope_id) IN (
    SELECT * FROM unnest(CAST(:scope_kinds AS smallint[]), CAST(:scope_ids AS text[]))
  )
GROUP BY scope_kind, scope_id
""")


class PostgresIntervals:
    """`Intervals` and `History` over the app's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of_scope(
        self,
        scope: ScopeId,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        user_ids: Collection[str] | None = None,
        as_of: datetime | None = None,
    ) -> Sequence[Stay]:
        """Return the stays that have a part in [start, end), by person and in order of coming."""
        query = _STAY + _OF_SCOPE + _overlaps(start, end)
        if user_ids is not None:
            query += " AND kept.user_id = ANY (CAST(:user_ids AS text[]))"
        if as_of is not None:
            query += " AND kept.enter_time <= :as_of"
        parameters = {
            "scope_kind": scope.kind.value,
            "scope_id": scope.scope_id,
            **_bounds(start, end),
            **({} if user_ids is None else {"user_ids": list(user_ids)}),
            **({} if as_of is None else {"as_of": as_of}),
        }
        query += " ORDER BY kept.user_id, kept.enter_time"
        rows = await self._rows(scope.organization_id, query, parameters)
        return [_stay(row, as_of) for row in rows]

    async def last_activities(
        self, organization_id: str, scopes: Collection[ScopeId]
    ) -> Mapping[ScopeId, datetime]:
        """Return when somebody last did something in each of the organization's scopes."""
        parameters = {
            "organization_id": organization_id,
            "staff": Role.STAFF.value,
            "scope_kinds": [scope.kind.value for scope in scopes],
            "scope_ids": [scope.scope_id for scope in scopes],
        }
        async with self._database.transaction(organization_id) as transaction:
            rows = await transaction.connection.execute(_LAST, parameters)
            return {
                ScopeId(organization_id, ScopeKind(row.scope_kind), row.scope_id): row.last_activity_time
                for row in rows
            }

    async def history(
        self, organization_id: str, wanted: HistoryFilter, *, after: HistoryPlace | None, limit: int
    ) -> Sequence[tuple[HistoryPlace, Stay]]:
        """Return stays behind a place, last come first."""
        query = _STAY + _overlaps(wanted.start, wanted.end)
        parameters: dict[str, object] = {**_bounds(wanted.start, wanted.end), "limit": limit}
        if wanted.scope is not None:
            query += _OF_SCOPE
            parameters |= {"scope_kind": wanted.scope.kind.value, "scope_id": wanted.scope.scope_id}
        if wanted.user_id:
            query += " AND kept.user_id = :user_id"
            parameters["user_id"] = wanted.user_id
        if after is not None:
            query += " AND (kept.enter_time, kept.interval_id) < (:after_time, :after_id)"
            parameters |= {"after_time": after.enter_time, "after_id": after.interval_id}
        if not wanted.visible_to:
            query += _PAGE
        else:
            # Each goes over an index of its own, however little of a long history there is of it.
            query = f"({query}{_OWN}{_PAGE}) UNION ({query}{_AT_HOME}{_PAGE}){_PAGE}"
            parameters |= {"visible_to": wanted.visible_to, "home": ScopeKind.ORGANIZATION.value}
        rows = await self._rows(organization_id, query, parameters)
        return [(HistoryPlace(row.enter_time, row.interval_id), _stay(row)) for row in rows]

    async def _rows(
        self, organization_id: str, query: str, parameters: Mapping[str, object]
    ) -> Sequence[Row[Any]]:
        names = {"organization_id": organization_id, "vanished": Cause.VANISHED.value, **parameters}
        async with self._database.transaction(organization_id) as transaction:
            return (await transaction.connection.execute(text(query), names)).all()


def _overlaps(start: datetime | None, end: datetime | None) -> str:
    """Return the conditions of a part in [start, end); they are spelled out, so that a plan goes by them."""
    return (_BEFORE if end is not None else "") + (_SINCE if start is not None else "")


def _bounds(start: datetime | None, end: datetime | None) -> dict[str, object]:
    bounds = {"start_time": start, "end_time": end}
    return {name: time for name, time in bounds.items() if time is not None}


def _stay(row: Row[Any], as_of: datetime | None = None) -> Stay:
    has_ended = _is_past(row.leave_time, as_of)
    return Stay(
        scope=ScopeId(row.organization_id, ScopeKind(row.scope_kind), row.scope_id),
        user_id=row.user_id,
        display_name=row.display_name,
        role=Role(row.role),
        participant_id=row.participant_id,
        enter_time=row.enter_time,
        leave_time=row.leave_time if has_ended else None,
        cause=Cause(row.cause) if has_ended else None,
        last_activity_time=row.last_activity_time if _is_past(row.last_activity_time, as_of) else None,
    )


def _is_past(time: datetime | None, as_of: datetime | None) -> bool:
    return time is not None and (as_of is None or time <= as_of)
