"""Rounds as last read, so that grading an answer needs no query."""

import asyncio
from collections.abc import Callable
from typing import Final

from muster_kit.errors import MusterError, Reason
from muster_kit.recent import Recent

from muster_scoring.model import Round
from muster_scoring.store import RoundReader

_CAPACITY: Final = 4096
_IDLE_SECONDS: Final = 300.0


class RoundCache:
    """Rounds by id, those that are answered.

    What is here may be outdated: the store refuses what was graded by an outdated round, and whoever
    would refuse an answer by what is here reads the round anew before.
    """

    def __init__(self, reader: RoundReader, *, capacity: int = _CAPACITY) -> None:
        self._reader = reader
        self._rounds = Recent[str, Round](capacity=capacity, idle_seconds=_IDLE_SECONDS)
        self._readings: dict[tuple[str, str], asyncio.Task[Round]] = {}

    def peek(self, organization_id: str, round_id: str) -> Round | None:
        """Return the round if it is here and the organization's."""
        round_ = self._rounds.get(round_id)
        if round_ is None or round_.organization_id != organization_id:
            return None
        return round_

    async def read(
        self, organization_id: str, round_id: str, *, suits: Callable[[Round], bool] = lambda _: False
    ) -> Round:
        """Return the round as the store has it now; NOT_FOUND when the organization has none of that id.

        Who comes while it is being read takes what is read if it `suits`, and else waits for the next
        reading: this one may have missed a commit that the caller has heard of. So there are at most
        two queries, however many come.
        """
        key = (organization_id, round_id)
        if (running := self._readings.get(key)) is not None:
            await asyncio.wait({running})
            found = self.peek(organization_id, round_id)
            if found is not None and suits(found):
                return found
        reading = self._readings.get(key)
        if reading is None:
            reading = self._readings[key] = asyncio.create_task(self._read(organization_id, round_id))
            # Called before whoever waits goes on, so none of them finds this reading here.
            reading.add_done_callback(lambda _: self._readings.pop(key, None))
        return await asyncio.shield(reading)

    def forget(self, organization_id: str, session_id: str) -> None:
        """Drop the rounds of a session; what is being read may still come."""
        of_session = (organization_id, session_id)
        for round_ in self._rounds:
            if (round_.organization_id, round_.session_id) == of_session:
                self._rounds.drop(round_.round_id)

    async def _read(self, organization_id: str, round_id: str) -> Round:
        round_ = await self._reader.read_round(organization_id, round_id)
        if round_ is None:
            if self.peek(organization_id, round_id) is not None:
                self._rounds.drop(round_id)
            raise MusterError(Reason.NOT_FOUND, detail=f"round {round_id}")
        self._rounds.put(round_id, round_)
        return round_
