"""Drives a move from its beginning over the call to scoring to its end, whoever dies in between."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

import structlog
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import StringValue
from muster_kit.caller import Caller
from muster_kit.db import Commands, Deadline
from muster_kit.errors import MusterError, Reason
from muster_kit.streams.background import Singleflight

from muster_session.model_blocks import BusyError, Transition
from muster_session.store import Room
from muster_session.store_directory import Directory
from muster_session.store_scoring import RefusedError, Scoring
from muster_session.usecases_ask import ask_scoring
from muster_session.usecases_finish import (
    Encode,
    Plan,
    complete,
    give_up,
    plan,
    reopen_plan,
    try_again_soon,
)
from muster_session.usecases_rounds import FINISH_DEADLINE, begin_close_on_time

T = TypeVar("T")

_log = structlog.get_logger(__name__)

_HELPED: Final = 4


class Transitions:
    """Carries out moves that scoring makes first.

    The first transaction stores the intent and a deadline; the caller is answered after the second
    one. Whoever finds a move that is not finished finishes it: the process that began it, the
    deadline's handler if that process is gone, or anybody who wants to make the next move. All of
    it may happen twice: rounds have ids, and the second transaction looks whether it is done.
    """

    def __init__(
        self, commands: Commands[Room], directory: Directory, scoring: Scoring, encode: Encode
    ) -> None:
        self._commands = commands
        self._directory = directory
        self._scoring = scoring
        self._encode = encode
        self._finishing = Singleflight()

    async def close(self) -> None:
        """Stop finishing; what is left is finished elsewhere."""
        await self._finishing.close()

    async def run(
        self,
        caller: Caller,
        session_id: str,
        begin: Callable[[Room], Awaitable[Transition]],
        *,
        request: Message,
    ) -> bytes:
        """Make a move; return its outcome, for a repeated request the same one.

        Raises what `begin` raises, BLOCK_BUSY, and UNAVAILABLE when scoring does not answer: the
        move is then still being made, and the same request asks again what became of it.
        """
        begun: list[Plan] = []

        async def use_case(room: Room) -> Transition:
            begun[:] = [await plan(room, await begin(room))]
            return begun[0].transition

        answer = await self.helping(
            lambda: self._commands.run(caller, session_id, use_case, request=request, encode=_encode_id)
        )
        transition_id = StringValue.FromString(answer).value
        if begun and begun[0].transition.transition_id == transition_id:
            transition = await self._finish(begun[0])
        else:
            transition = await self._finished(caller.organization_id, session_id, transition_id)
        if transition.failure:
            raise MusterError(Reason(transition.failure), detail="refused by scoring")
        return transition.outcome or b""

    async def helping(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Return what `attempt` returns; when it meets a move under way, finish that one first."""
        for _ in range(_HELPED):
            try:
                return await attempt()
            except BusyError as busy:
                other = busy.transition
                await self._finished(other.organization_id, other.session_id, other.transition_id)
        return await attempt()

    async def finish_on_time(self, deadline: Deadline) -> None:
        """Finish a move that whoever began it has not finished; does nothing when they have."""
        transition_id = deadline.key.removeprefix(FINISH_DEADLINE)
        await self._finished(deadline.organization_id, deadline.room_id, transition_id)

    async def close_on_time(self, deadline: Deadline) -> None:
        """Close the block whose time is over."""

        async def begin(room: Room) -> Plan | None:
            transition = await begin_close_on_time(room, deadline)
            return await plan(room, transition) if transition else None

        begun = await self.helping(
            lambda: self._commands.system(deadline.organization_id, deadline.room_id, begin)
        )
        if begun is not None:
            await self._finish(begun)

    async def _finished(self, organization_id: str, session_id: str, transition_id: str) -> Transition:
        transition = await self._directory.find_transition(organization_id, transition_id)
        if transition is not None and not transition.is_open:
            return transition
        asked = await self._commands.system(
            organization_id, session_id, partial(reopen_plan, transition_id=transition_id)
        )
        if asked is not None:
            return await self._finish(asked)
        return await self._finished(organization_id, session_id, transition_id)

    async def _finish(self, asked: Plan) -> Transition:
        # Once a process, and to the end even if the caller hangs up.
        return await self._finishing.run(asked.transition.transition_id, lambda: self._finish_now(asked))

    async def _finish_now(self, asked: Plan) -> Transition:
        transition = asked.transition
        system = partial(self._commands.system, transition.organization_id, transition.session_id)
        try:
            times = await ask_scoring(self._scoring, asked)
        except RefusedError as refused:
            _log.warning(
                "move_refused",
                session_id=transition.session_id,
                move=transition.kind.value,
                reason=refused.reason.value,
                detail=refused.detail,
            )
            reason = refused.reason
            return await system(lambda room: give_up(room, transition.transition_id, reason))
        except MusterError:
            with suppress(MusterError):
                await system(partial(try_again_soon, transition_id=transition.transition_id))
            raise
        return await system(lambda room: complete(room, asked, times, self._encode))


def _encode_id(transition: Transition) -> StringValue:
    return StringValue(value=transition.transition_id)
