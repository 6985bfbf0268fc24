"""Which errors of the driver mean that the database is away, busy, or that a race was lost."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar

import asyncpg
import structlog
from sqlalchemy.exc import DBAPIError, PendingRollbackError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from muster_kit.errors import MusterError, Reason

I = TypeVar("I")  # noqa: E741 - I for item, T for what becomes of it
T = TypeVar("T")

_RETRY_AFTER: Final = timedelta(seconds=1)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_AWAY_CLASSES: Final = ("08", "53")  # connection exceptions, insufficient resources
_AWAY: Final = frozenset(
    {
        "25006",  # read_only_sql_transaction: what was the primary is a standby now
        "25P03",  # idle_in_transaction_session_timeout
        "25P04",  # transaction_timeout
        "57P01",  # admin_shutdown, also by pg_terminate_backend
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now
        "57P05",  # idle_session_timeout
    }
)
_BUSY: Final = frozenset({"55P03", "57014"})  # lock_timeout, statement_timeout
# Both the server's own words and the driver's quote values.
_TELLING: Final = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError)
_LOST_RACE: Final = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected

_log = structlog.get_logger(__name__)


class DatabaseAwayError(MusterError):
    """The connection could not be had, or was lost; UNAVAILABLE to the caller.

    `commit_unknown` tells that it was lost in the commit: what was written is there or is not.
    Otherwise nothing is there.
    """

    def __init__(self, *, commit_unknown: bool, detail: str) -> None:
        super().__init__(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=detail)
        self.commit_unknown = commit_unknown


class UnstorableError(RuntimeError):
    """The database cannot hold what was to be stored, or it breaks a constraint: a bug of ours."""


class ConflictError(MusterError):
    """The database chose this transaction to fail so that another could go on; nothing is there."""

    def __init__(self, *, detail: str) -> None:
        super().__init__(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=detail)


def unavailable(detail: str) -> MusterError:
    """Return the error of a database that is there but does not get it done in time."""
    return MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=detail)


def fault_of(error: BaseException, *, commit_unknown: bool = False) -> MusterError | None:
    """Return what a driver's error means to a caller, with it as the cause; None when it is a bug."""
    fault = _fault_of(error, commit_unknown)
    if fault is not None:
        fault.__cause__ = error
    return fault


def without_values(error: BaseException) -> UnstorableError | None:
    """Return what to raise in place of an error that quotes what was to be stored; None for all others.

    What people write does not belong into the log, so the error must not be its cause either.
    """
    cause = _driver_error(error)
    if isinstance(cause, _TELLING):
        return UnstorableError(f"{type(cause).__name__}: the database cannot hold this")
    return None


def _fault_of(error: BaseException, commit_unknown: bool) -> MusterError | None:
    sqlstate = _sqlstate(error)
    if sqlstate in _LOST_RACE or _is_outdated_plan(error):
        return ConflictError(detail=repr(error))
    # The driver's own timeout comes as it is; so does one of the work in between, and means the same.
    if sqlstate in _BUSY or isinstance(error, TimeoutError):
        return unavailable(repr(error))
    if _is_away(error, sqlstate):
        return DatabaseAwayError(commit_unknown=commit_unknown, detail=repr(error))
    return None


def _is_away(error: BaseException, sqlstate: str) -> bool:
    if sqlstate in _AWAY or sqlstate.startswith(_AWAY_CLASSES):
        return True
    match error:
        case DBAPIError():
            return error.connection_invalidated
        case asyncpg.InterfaceError():
            return "connection is closed" in str(error)
        case asyncpg.InternalClientError():
            # The connection ended in the middle of a call, and the driver has lost track of it: "cannot
            # switch to state ...". It stays so, whatever is done with it.
            return True
        case _:
            # PendingRollbackError: work went on although the connection was lost under it.
            return isinstance(error, PoolTimeoutError | PendingRollbackError)


def _is_outdated_plan(error: BaseException) -> bool:
    # A migration ran since the statement was prepared; the driver prepares it anew next time.
    return isinstance(_driver_error(error), asyncpg.InvalidCachedStatementError)


def _driver_error(error: BaseException) -> BaseException | None:
    return error.orig.__cause__ if isinstance(error, DBAPIError) and error.orig else error


def _sqlstate(error: BaseException) -> str:
    source = error.orig if isinstance(error, DBAPIError) else error
    return getattr(source, "sqlstate", None) or ""


async def once_more(attempt: Callable[[], Awaitable[T]], *, repeatable: bool) -> T:
    """Return what a transaction returns, trying it a second time if the first try left nothing.

    With `repeatable` also when nobody knows what it left, because a second effect does no harm.
    """
    try:
        return await attempt()
    except ConflictError:
        pass
    except DatabaseAwayError as error:
        if error.commit_unknown and not repeatable:
            raise
    return await attempt()


async def together(
    work: Callable[[Sequence[I]], Awaitable[Sequence[T]]], items: Sequence[I]
) -> Sequence[T | BaseException]:
    """Do it for all at once, or, when the database cannot hold one of them, for each alone.

    `work` raises UnstorableError then, which is the outcome of the item that it is for.
    """
    try:
        return await work(items)
    except UnstorableError as error:
        _log.error("batch_refused", items=len(items), error=str(error))
        if len(items) == 1:
            return [error]
    return [outcome for item in items for outcome in await together(work, [item])]
