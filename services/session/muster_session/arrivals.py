"""The seats of streams that come at once, as when a whole class is back: read together, never remembered."""

import asyncio
from typing import Final, TypeAlias

from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Background

from muster_session.model import Participant, Session
from muster_session.store_directory import Directory, SeatsFound

_GATHER_SECONDS: Final = 0.2
# So many go on in one turn of the loop. What each is sent first may be large: if hundreds wrote it in the
# same turn, a worker would grow by all of that, for good.
_AT_ONCE: Final = 4

_SessionKey: TypeAlias = tuple[str, str]
_Answer: TypeAlias = "asyncio.Future[tuple[Session, Participant | None] | None]"


class Arrivals:
    """Finds sessions with a seat for those who open streams, with few reads however many come.

    Whoever comes alone is looked up at once; those who come to the same session within a moment
    of that share the next read. A read begins after all it is for have asked, so what was taken
    from a seat before its holder came is always seen: there is no cache that could let it in.
    """

    def __init__(self, directory: Directory, *, gather_seconds: float = _GATHER_SECONDS) -> None:
        """`gather_seconds` is the least time between the beginnings of two reads of one session."""
        self._directory = directory
        self._gather_seconds = gather_seconds
        # Who waits for the next read of a session: seat and answer.
        self._waiting: dict[_SessionKey, list[tuple[str, _Answer]]] = {}
        # When the next read of a session may begin, by the loop's clock; gone when that is past.
        self._next_times: dict[_SessionKey, float] = {}
        self._reads = Background()

    async def find_with_seat(
        self, organization_id: str, session_id: str, *, user_id: str = "", participant_id: str = ""
    ) -> tuple[Session, Participant | None] | None:
        """Return a session and the seat of the user, or with the id, if there is one; as of now."""
        if not participant_id:
            return await self._directory.find_with_seat(organization_id, session_id, user_id=user_id)
        key = organization_id, session_id
        waiting = self._waiting.get(key)
        if waiting is None:
            waiting = self._waiting[key] = []
            self._reads.spawn(self._serve(key, waiting), name="read_arrivals")
        answer: _Answer = asyncio.get_running_loop().create_future()
        waiting.append((participant_id, answer))
        return await answer

    async def close(self) -> None:
        """Stop reading; whoever waits gets UNAVAILABLE."""
        await self._reads.close()

    async def _serve(self, key: _SessionKey, waiting: list[tuple[str, _Answer]]) -> None:
        try:
            found = await self._read(key, waiting)
            for number, (participant_id, answer) in enumerate(waiting, start=1):
                if not answer.done():
                    seen = None if found is None else (found.session, found.seats.get(participant_id))
                    answer.set_result(seen)
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - raised where it was asked for
            _fail(waiting, error)
        finally:
            _fail(waiting, MusterError(Reason.UNAVAILABLE, detail="the service stops"))

    async def _read(self, key: _SessionKey, waiting: list[tuple[str, _Answer]]) -> SeatsFound | None:
        loop = asyncio.get_running_loop()
        try:
            if (next_time := self._next_times.get(key)) is not None:
                await asyncio.sleep(next_time - loop.time())
        finally:
            # Who asks from here on is too late for this read.
            del self._waiting[key]
        next_time = self._next_times[key] = loop.time() + self._gather_seconds
        loop.call_at(next_time, self._forget, key, next_time)
        return await self._directory.find_with_seats(*key, {participant_id for participant_id, _ in waiting})

    def _forget(self, key: _SessionKey, next_time: float) -> None:
        if self._next_times.get(key) == next_time:
            del self._next_times[key]


def _fail(waiting: list[tuple[str, _Answer]], error: Exception) -> None:
    for _, answer in waiting:
        if not answer.done():
            answer.set_exception(error)
