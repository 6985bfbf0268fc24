"""The savepoint around each command of a group."""

from sqlalchemy.ext.asyncio import AsyncConnection

from muster_kit.db.engine import driver_of
from muster_kit.db.faults import DatabaseAwayError


class Savepoints:
    """One savepoint after the other, on one connection, at one round trip a command.

    Set through the driver: SQLAlchemy would take two trips to end one and begin the next.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._is_set = False

    async def begin(self) -> None:
        """Be ready to undo what comes."""
        if not self._is_set:
            await self._execute("SAVEPOINT command")
            self._is_set = True

    async def keep(self, *, more: bool) -> None:
        """Keep what was done since; fails when a statement had failed and somebody caught the error."""
        self._is_set = False
        await self._execute("RELEASE SAVEPOINT command" + ("; SAVEPOINT command" if more else ""))
        self._is_set = more

    async def undo(self) -> None:
        """Undo what was done since; the savepoint stays."""
        await self._execute("ROLLBACK TO SAVEPOINT command")
        self._is_set = True

    async def _execute(self, sql: str) -> None:
        driver = await driver_of(self._connection)
        try:
            await driver.execute(sql)
        except OSError as error:
            raise DatabaseAwayError(commit_unknown=False, detail=repr(error)) from error
