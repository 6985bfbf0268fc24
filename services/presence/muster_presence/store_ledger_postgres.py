"""The ledger in PostgreSQL, as batches are written to it and held against the index."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from muster_kit.db import Database, Transaction

from muster_presence import statements_ledger as statements
from muster_presence.model import Cause, ScopeId, ScopeKind
from muster_presence.model_intervals import OpenInterval, time_of_ms
from muster_presence.store import Interval
from muster_presence.store_ledger import Claim, Deed, Ended, Fact

_FIRST: Final = ("", time_of_ms(0))

Columns = dict[str, object]


class PostgresLedger:
    """`LedgerStore` over the writer's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, facts: Sequence[Fact], deeds: Sequence[Deed]) -> None:
        """Write what was told, all or nothing."""

        async def work(transaction: Transaction) -> None:
            await transaction.connection.execute(statements.LOCK_SHARED)
            if facts:
                await transaction.connection.execute(statements.TELL, _told(facts))
            if deeds:
                await transaction.connection.execute(statements.ACT, _acted(deeds))

        await self._database.run("", work, repeatable=True)

    async def know(self, scopes: Collection[ScopeId]) -> None:
        """Have scopes claimed from now on."""
        await self._run(statements.KNOW, _scopes(list(scopes)))

    async def claim(self, *, limit: int, seconds: float) -> Sequence[Claim]:
        """Return scopes to look at, those that wait longest first."""

        async def work(transaction: Transaction) -> Sequence[Claim]:
            parameters = {"limit": limit, "seconds": seconds}
            rows = await transaction.connection.execute(statements.CLAIM, parameters)
            return [
                Claim(
                    ScopeId(row.organization_id, ScopeKind(row.scope_kind), row.scope_id),
                    row.check_time,
                    row.check_order,
                )
                for row in rows
            ]

        return await self._database.run("", work, repeatable=True)

    async def open_intervals(
        self, scope: ScopeId, *, after: tuple[str, datetime] | None, limit: int
    ) -> Sequence[OpenInterval]:
        """Return open intervals by user and time of entering, behind a place."""
        user_id, enter_time = after or _FIRST
        parameters = _scope(scope) | {"user_id": user_id, "enter_time": enter_time, "limit": limit}
        async with self._database.transaction("") as transaction:
            rows = await transaction.connection.execute(statements.OPEN, parameters)
            return [
                OpenInterval(
                    user_id=row.user_id,
                    enter_time=row.enter_time,
                    order=row.told_order,
                    last_activity_time=row.last_activity_time,
                    told_enter_time=row.told_enter_time,
                    next_enter_time=row.next_enter_time,
                    seen_time=row.seen_time,
                    missing_time=row.missing_time,
                )
                for row in rows
            ]

    async def not_open(self, scope: ScopeId, intervals: Sequence[Interval]) -> Sequence[Interval]:
        """Return those that the ledger does not have as open."""
        keys = [(scope, each.user_id, time_of_ms(each.enter_ms)) for each in intervals]
        async with self._database.transaction("") as transaction:
            rows = await transaction.connection.execute(statements.NOT_OPEN, _keys(keys))
            return [intervals[place - 1] for (place,) in rows]

    async def mark(
        self,
        scope: ScopeId,
        *,
        now: datetime,
        found: Sequence[OpenInterval],
        missing: Sequence[tuple[OpenInterval, datetime]],
        ended: Sequence[Ended],
    ) -> None:
        """Note which are found again, which are missing, and end others."""
        gone = [(each.interval, each.leave_time, each.order) for each in ended]
        changes: list[tuple[object, Columns, list[tuple[OpenInterval, datetime, int]]]] = [
            (statements.FOUND, {}, [(each, now, 0) for each in found]),
            (statements.MISSING, {"now": now}, [(each, time, 0) for each, time in missing]),
            (statements.OVER, {"cause": Cause.VANISHED.value}, gone),
        ]

        async def work(transaction: Transaction) -> None:
            for statement, names, marked in changes:
                if marked:
                    await transaction.connection.execute(statement, names | _marked(scope, marked))  # type: ignore[call-overload]

        if found or missing or ended:
            await self._database.run("", work, repeatable=True)

    async def unite(self, scope: ScopeId, intervals: Sequence[OpenInterval]) -> None:
        """Let intervals go on in the next ones of their people."""
        marked = [(each, each.next_enter_time, 0) for each in intervals if each.next_enter_time]

        async def work(transaction: Transaction) -> None:
            await transaction.connection.execute(statements.LOCK)
            await transaction.connection.execute(statements.UNITE, _marked(scope, marked))

        if marked:
            await self._database.run("", work, repeatable=True)

    async def renew(self, scopes: Sequence[ScopeId], *, check_time: datetime) -> None:
        """Note that nothing has changed in scopes since they were last looked at."""
        await self._run(statements.RENEW, _scopes(scopes) | {"check_time": check_time})

    async def finish(self, claim: Claim, *, is_empty: bool, rest_seconds: float) -> None:
        """Note that a scope was looked at; one that has been empty for a while is not claimed any more."""
        if is_empty:
            await self._run(statements.FORGET, _scope(claim.scope))
        noted: Columns = {
            "check_time": claim.check_time,
            "check_order": claim.check_order,
            "rest_seconds": rest_seconds,
        }
        await self._run(statements.FINISH, _scope(claim.scope) | noted)

    async def _run(self, statement: object, parameters: Columns) -> None:
        async def work(transaction: Transaction) -> None:
            await transaction.connection.execute(statement, parameters)  # type: ignore[call-overload]

        await self._database.run("", work, repeatable=True)


def _told(facts: Sequence[Fact]) -> Columns:
    intervals = [fact.interval for fact in facts]
    keys = [(fact.scope, fact.interval.user_id, time_of_ms(fact.interval.enter_ms)) for fact in facts]
    return _keys(keys) | {
        "leave_times": [_left(each) for each in intervals],
        "causes": [each.cause.value if each.cause else None for each in intervals],
        "roles": [each.role.value for each in intervals],
        "display_names": [each.display_name for each in intervals],
        "participant_ids": [each.participant_id for each in intervals],
        "last_activity_times": [
            time_of_ms(each.last_activity_ms) if each.last_activity_ms else None for each in intervals
        ],
        "orders": [each.order for each in intervals],
    }


def _left(interval: Interval) -> datetime | None:
    if interval.leave_ms is None:
        return None
    # Whoever held a stream over a loss is known to have come before anything else of them is.
    return time_of_ms(max(interval.leave_ms, interval.enter_ms))


def _acted(deeds: Sequence[Deed]) -> Columns:
    keys = [(deed.scope, deed.user_id, time_of_ms(deed.enter_ms)) for deed in deeds]
    return _keys(keys) | {"act_times": [time_of_ms(deed.act_ms) for deed in deeds]}


def _marked(scope: ScopeId, marked: Sequence[tuple[OpenInterval, datetime, int]]) -> Columns:
    return _keys([(scope, each.user_id, each.enter_time) for each, _, _ in marked]) | {
        "orders": [each.order for each, _, _ in marked],
        "times": [time for _, time, _ in marked],
        "new_orders": [order for _, _, order in marked],
    }


def _keys(keys: Sequence[tuple[ScopeId, str, datetime]]) -> Columns:
    return _scopes([scope for scope, _, _ in keys]) | {
        "user_ids": [user_id for _, user_id, _ in keys],
        "enter_times": [enter_time for _, _, enter_time in keys],
    }


def _scopes(scopes: Sequence[ScopeId]) -> Columns:
    return {
        "organization_ids": [scope.organization_id for scope in scopes],
        "scope_kinds": [scope.kind.value for scope in scopes],
        "scope_ids": [scope.scope_id for scope in scopes],
    }


def _scope(scope: ScopeId) -> Columns:
    return {
        "organization_id": scope.organization_id,
        "scope_kind": scope.kind.value,
        "scope_id": scope.scope_id,
    }
