"""Answers over one stream, of one participant or of many: many under way at once, told of in order."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from itertools import takewhile
from typing import Final, TypeAlias

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation

from muster_scoring.model import Seat
from muster_scoring.numbered_stream import NumberedStream
from muster_scoring.usecases_responses import Attempt, Responses, Submission, SubmitReply, seat_of

_UNDER_WAY: Final = 256
_UNDER_WAY_OF_SERVICES: Final = 1024
"""So many answers of one stream may wait to be stored; the next ones are not read until then."""

Given: TypeAlias = tuple[Seat, Submission]
Sequenced: TypeAlias = tuple[int, Sequence[Given | MusterError]]
"""Answers that came under one number on the stream, or why they are none."""

Told: TypeAlias = tuple[int, Sequence[SubmitReply | MusterError]]
"""What became of the answers of one number."""

WriteRun: TypeAlias = Callable[[Sequence[Told]], Awaitable[None]]

_Begun: TypeAlias = Sequence[Attempt | MusterError]


class ResponseStream(NumberedStream[Sequence[Given | MusterError], _Begun]):
    """The answers of one stream; one that is refused is told of like the others."""

    def __init__(self, responses: Responses, caller: Caller, write: WriteRun) -> None:
        """`write` is given runs of answers that are done, in the order in which they came."""
        super().__init__(most=_UNDER_WAY if caller.is_ticket else _UNDER_WAY_OF_SERVICES)
        self._responses = responses
        self._write = write

    async def _begin(self, given: Sequence[Given | MusterError]) -> _Begun:
        return [await self._begin_one(each) for each in given]

    async def _begin_one(self, given: Given | MusterError) -> Attempt | MusterError:
        if isinstance(given, MusterError):
            return given
        try:
            await self._responses.know_round(*given)
            return self._responses.begin(*given)
        except MusterError as error:
            return error

    def _weigh(self, begun: _Begun) -> int:
        return len(begun)

    async def _tell(self) -> None:
        for attempt in _attempts(self._under_way[0][1]):
            await attempt.arrive()
        # Those behind it that have arrived as well go with it.
        run = list(takewhile(_has_arrived, self._under_way))
        told = await self._finish_all(run)
        for _ in told:
            self._pop()
        await self._write(told)

    async def _finish_all(self, run: Sequence[tuple[int, _Begun]]) -> Sequence[Told]:
        if any(attempt.has_to_go_again for _, begun in run for attempt in _attempts(begun)):
            # The round has changed under many of them: they go again together, not one after the other.
            every = await asyncio.gather(*(self._finish(attempt) for _, begun in run for attempt in begun))
            replies = iter(every)
            return [(sequence, [next(replies) for _ in begun]) for sequence, begun in run]
        return [(sequence, [await self._finish(attempt) for attempt in begun]) for sequence, begun in run]

    async def _finish(self, attempt: Attempt | MusterError) -> SubmitReply | MusterError:
        if isinstance(attempt, MusterError):
            return attempt
        try:
            return await self._responses.finish(attempt)
        except MusterError as error:
            return error

    def _abandon(self, begun: _Begun) -> None:
        for attempt in _attempts(begun):
            attempt.abandon()


def seat_for(
    caller: Caller, *, organization_id: str, session_id: str, participant_id: str, display_name: str
) -> Seat:
    """Return the seat that an answer is for: a ticket's own, or the one that a service names.

    Raises PERMISSION_DENIED for a seat that is not the ticket's, or an organization that the service
    does not act for; INVALID_FIELD when a service leaves out what makes a seat.
    """
    if caller.is_ticket:
        own = (caller.organization_id, caller.room_id, caller.participant_id, caller.display_name)
        named = (organization_id, session_id, participant_id, display_name)
        if any(name not in ("", mine) for name, mine in zip(named, own, strict=True)):
            raise MusterError(Reason.PERMISSION_DENIED, detail="an answer for another seat")
        return seat_of(caller)
    organization = organization_id or caller.organization_id
    if not caller.acts_for(organization):
        raise MusterError(Reason.PERMISSION_DENIED, detail="a service that acts for another organization")
    if not (organization and session_id and participant_id):
        named_fields = {
            "organization_id": organization,
            "session_id": session_id,
            "participant_id": participant_id,
        }
        raise MusterError(
            Reason.INVALID_FIELD,
            violations=[
                Violation(field, "must be named by services")
                for field, name in named_fields.items()
                if not name
            ],
        )
    return Seat(
        session_id=session_id,
        participant_id=participant_id,
        organization_id=organization,
        generation=None,
        display_name=display_name,
    )


def _has_arrived(message: tuple[int, _Begun]) -> bool:
    return not any(attempt.is_on_its_way for attempt in _attempts(message[1]))


def _attempts(begun: _Begun) -> Iterator[Attempt]:
    return (each for each in begun if isinstance(each, Attempt))
