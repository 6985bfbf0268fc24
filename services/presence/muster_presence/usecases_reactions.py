"""Quick reactions: signs that friends send each other."""

from dataclasses import dataclass
from typing import Final

from muster_kit.caller import Caller
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model_friends import Rate, Reaction, Standing, pair_of
from muster_presence.store_friends import Friends

_REACTING: Final = "reacting"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReactionRules:
    """Which reactions there are, and how often someone may send one: to one friend, and to all together."""

    reactions: frozenset[str]
    to_one: Rate
    to_all: Rate

    def require_known(self, reaction: str) -> None:
        """Raise INVALID_FIELD for what is none of the deployment's reactions."""
        if reaction not in self.reactions:
            violation = Violation("reaction", "must be one of the deployment's reactions")
            raise MusterError(Reason.INVALID_FIELD, violations=[violation])


async def send_reaction(
    friends: Friends, caller: Caller, user_id: str, reaction: str, *, activity: bytes, rules: ReactionRules
) -> None:
    """Send a sign to a friend; `activity` is what they are doing.

    MusterError: INVALID_FIELD for an unknown reaction and for oneself, NOT_FOUND for who is no friend,
    RATE_LIMITED with a time to come back.
    """
    rules.require_known(reaction)
    pair = await friends.lock(pair_of(caller.subject, user_id))
    if pair.seen_by(caller.subject).standing is not Standing.FRIENDS:
        raise MusterError(Reason.NOT_FOUND, detail="not a friend")
    await friends.keep_name(caller.subject, caller.display_name)
    await friends.spend(caller.subject, f"{_REACTING}/{user_id}", rules.to_one)
    await friends.spend(caller.subject, _REACTING, rules.to_all)
    names = await friends.names([caller.subject])
    sent = Reaction(
        from_user_id=caller.subject,
        from_display_name=names.get(caller.subject, ""),
        reaction=reaction,
        activity=activity,
    )
    await friends.tell([(user_id, sent)])
