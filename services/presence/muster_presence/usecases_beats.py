"""What devices say: that they are here, what is done with them, and that they leave."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason
from muster_kit.records import record

from muster_presence.model import Activity, Outcome, Profile, ScopeId, Step, Verb
from muster_presence.model_channels import USUAL, Line
from muster_presence.store import PresenceIndex
from muster_presence.usecases_access import Doors, Place, Presence, require_service_for, scope_of
from muster_presence.usecases_steps import StepQueue

Adopt: TypeAlias = Callable[[ScopeId, Step], Step]


@record(kw_only=True)
class Said:
    """What a device says; `keeps_activity` leaves what it does as before."""

    device_id: str
    is_away: bool = False
    sequence: int = 0
    activity: Activity | None = None
    keeps_activity: bool = False

    def step(self, verb: Verb, caller: Caller, presence: Presence | None = None, *, holder: str = "") -> Step:
        """Return what that is in one scope; without a `presence` the caller is what they were there."""
        return Step(
            verb=verb,
            user_id=caller.subject,
            device_id=self.device_id,
            sequence=self.sequence,
            is_away=self.is_away,
            profile=presence.profile if presence is not None else None,
            activity=self.activity,
            keeps_activity=self.keeps_activity,
            holder=holder,
            line=presence.line if presence is not None else None,
        )


@record(kw_only=True)
class UserBeat:
    """What a service says of one person's device; an empty `device_id` is one of the service itself."""

    user_id: str
    device_id: str
    place: Place
    profile: Profile
    is_away: bool
    activity: Activity | None
    is_last: bool


class Beats:
    """Takes what devices say.

    All of these raise UNAVAILABLE while the index is away, and RATE_LIMITED when too many beats wait.
    """

    def __init__(self, queue: StepQueue, index: PresenceIndex, doors: Doors, *, adopt: Adopt) -> None:
        """`adopt` makes the step of a device that has a stream."""
        self._queue = queue
        self._index = index
        self._doors = doors
        self._adopt = adopt

    async def beat(self, caller: Caller, said: Said, places: Sequence[Place]) -> Mapping[ScopeId, Line]:
        """Be in the places, or without any where the device is already; return where it is, on which lines.

        Raises what `Doors.enter` raises.
        """
        if not places:
            here = await self._touch(caller, replace(said, keeps_activity=True))
            if here:
                return here
        entered = [await self._doors.enter(caller, place) for place in places or [self._doors.home(caller)]]
        beats = [(presence.scope, said.step(Verb.BEAT, caller, presence)) for presence in entered]
        steps = [(scope, self._adopt(scope, step)) for scope, step in beats]
        await self._queue.submit(steps)
        return {presence.scope: presence.line for presence in entered}

    async def set_activity(self, caller: Caller, said: Said, place: Place) -> bytes:
        """Say what the caller does in a scope; return their presence there, as the contract's message.

        NOT_FOUND when the device is not there.
        """
        scope = scope_of(caller.organization_id, place)
        if caller.is_ticket and caller.room_id != scope.scope_id:
            raise MusterError(Reason.NOT_FOUND, detail="a ticket is for its room alone")
        step = replace(said.step(Verb.TOUCH, caller), wants_presence=True)
        ((_, _, presence),) = await self._queue.submit([(scope, step)])
        if not presence:
            raise MusterError(Reason.NOT_FOUND, detail="the device is not in the scope")
        return presence

    async def leave(self, caller: Caller, said: Said, places: Sequence[Place]) -> Sequence[ScopeId]:
        """Leave the places, or without any all that the device is in; return which these are."""
        scopes = [scope_of(caller.organization_id, place) for place in places]
        if not places:
            scopes = await self._whereabouts(caller, said.device_id)
        if scopes:
            await self._queue.submit([(scope, said.step(Verb.LEAVE, caller)) for scope in scopes])
        return scopes

    async def batch(
        self, caller: Caller, organization_id: str, beats: Sequence[UserBeat], *, sequence: int
    ) -> Mapping[int, Reason]:
        """Take beats of many people; return those that were refused, by their index, and why.

        PERMISSION_DENIED when the service does not act for the organization.
        """
        require_service_for(caller, organization_id)
        refused: dict[int, Reason] = {}
        steps = []
        for index, beat in enumerate(beats):
            try:
                scope = scope_of(organization_id, beat.place)
            except MusterError as error:
                refused[index] = error.reason
                continue
            steps.append((scope, _step(caller, beat, sequence)))
        if steps:
            await self._queue.submit(steps)
        return refused

    async def called(self, caller: Caller, organization_id: str, user_ids: Sequence[str]) -> None:
        """Let people who called some service have done something wherever they are already.

        PERMISSION_DENIED when the service does not act for the organization.
        """
        require_service_for(caller, organization_id)
        whereabouts = await self._index.whereabouts(organization_id, user_ids)
        steps = [
            (scope, Step(verb=Verb.CALL, user_id=user_id, device_id=""))
            for user_id, scopes in whereabouts.items()
            for scope in scopes
        ]
        if steps:
            await self._queue.submit(steps)

    async def _touch(self, caller: Caller, said: Said) -> Mapping[ScopeId, Line]:
        """Beat where the device is already; return where that is, on which lines."""
        scopes = await self._whereabouts(caller, said.device_id)
        if not scopes:
            return {}
        step = replace(said.step(Verb.TOUCH, caller), wants_line=True)
        results = await self._queue.submit([(scope, step) for scope in scopes])
        here: dict[ScopeId, Line] = {}
        changed = []
        for scope, (outcome, _, key) in zip(scopes, results, strict=True):
            if outcome is Outcome.TAKEN:
                here[scope] = line = await self._doors.line_again(scope, key.decode())
                if line.key.encode() != key:
                    changed.append((scope, replace(step, line=line)))
            elif outcome is Outcome.LATE:
                here[scope] = USUAL
        if changed:
            # It has been configured otherwise since the device said where it is.
            await self._queue.submit(changed)
        return here

    async def _whereabouts(self, caller: Caller, device_id: str) -> list[ScopeId]:
        found = await self._index.places(caller.organization_id, caller.subject, device_id)
        # A ticket is for its room alone.
        return [scope for scope in found if not caller.is_ticket or scope.scope_id == caller.room_id]


def _step(caller: Caller, beat: UserBeat, sequence: int) -> Step:
    return Step(
        verb=Verb.LEAVE if beat.is_last else Verb.BEAT,
        user_id=beat.user_id,
        # No client's device begins with what no text may hold.
        device_id=beat.device_id or f"\0{caller.subject}",
        sequence=sequence,
        is_away=beat.is_away,
        profile=beat.profile,
        activity=beat.activity,
        keeps_activity=beat.activity is None,
        of_service=True,
    )
