"""What people do to become friends, and to be friends no more."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from muster_kit.caller import Caller, CallerKind
from muster_kit.errors import MusterError, Reason, Violation

from muster_presence.model_friends import Bond, FriendLimits, Friendship, Pair, Rate, pair_of
from muster_presence.store_friends import Friends

_ASKING: Final = "asking"


async def request_friend(
    friends: Friends, caller: Caller, user_id: str, note: str, *, limits: FriendLimits, rate: Rate
) -> Friendship:
    """Ask someone, or become the friend of who has asked; return the friendship as the caller has it.

    Nothing changes where the caller has asked already, is a friend, or blocks the other. MusterError:
    INVALID_FIELD for oneself, RATE_LIMITED soon after a refusal or too often, TOO_LARGE.
    """

    async def ask(pair: Pair) -> Pair:
        asked = pair.asked(caller.subject, note, friends.now, pause=limits.pause)
        if asked.bond is not pair.bond:
            limits.require_room(pair, asked, await friends.counts([pair.first_id, pair.second_id]))
            await friends.spend(caller.subject, _ASKING, rate)
        return asked

    return await _change(friends, caller, user_id, ask)


async def respond_to_request(
    friends: Friends, caller: Caller, user_id: str, *, accepts: bool, limits: FriendLimits
) -> Friendship:
    """Accept or decline someone's request; MusterError: INVALID_FIELD, NOT_FOUND, TOO_LARGE."""

    async def answer(pair: Pair) -> Pair:
        answered = pair.answered(caller.subject, friends.now, accepts=accepts)
        if answered.bond is Bond.FRIENDS and pair.bond is not Bond.FRIENDS:
            limits.require_room(pair, answered, await friends.counts([pair.first_id, pair.second_id]))
        return answered

    return await _change(friends, caller, user_id, answer)


async def remove_friend(friends: Friends, caller: Caller, user_id: str) -> Friendship:
    """End a friendship, or take a request back; MusterError INVALID_FIELD for oneself."""

    async def remove(pair: Pair) -> Pair:
        return pair.removed(caller.subject, friends.now)

    return await _change(friends, caller, user_id, remove)


async def block_user(friends: Friends, caller: Caller, user_id: str, *, limits: FriendLimits) -> Friendship:
    """Block someone; MusterError: INVALID_FIELD for oneself, TOO_LARGE."""

    async def block(pair: Pair) -> Pair:
        blocked = pair.blocked(caller.subject, friends.now)
        if blocked is not pair and await friends.block_count(caller.subject) >= limits.blocks:
            raise MusterError(Reason.TOO_LARGE, detail="blocks too many")
        return blocked

    return await _change(friends, caller, user_id, block)


async def unblock_user(friends: Friends, caller: Caller, user_id: str) -> Friendship:
    """Lift a block; MusterError INVALID_FIELD for oneself."""

    async def unblock(pair: Pair) -> Pair:
        return pair.unblocked(caller.subject)

    return await _change(friends, caller, user_id, unblock)


def whose_friends(caller: Caller, of_user_id: str) -> str:
    """Return whose friends a call lists; MusterError: PERMISSION_DENIED, INVALID_FIELD, NOT_FOUND.

    Services name the person, and have to act for one organization; others ask for their own friends.
    """
    if caller.kind is not CallerKind.SERVICE:
        if of_user_id not in ("", caller.subject):
            raise MusterError(Reason.PERMISSION_DENIED, detail="asks for the friends of another")
        return caller.subject
    if not of_user_id:
        violation = Violation("of_user_id", "must name a person")
        raise MusterError(Reason.INVALID_FIELD, violations=[violation])
    if not caller.organization_id:
        raise MusterError(Reason.NOT_FOUND, detail="a service that acts for no organization")
    return of_user_id


async def _change(
    friends: Friends, caller: Caller, user_id: str, change: Callable[[Pair], Awaitable[Pair]]
) -> Friendship:
    """Change what is between the caller and another, and tell each of the two what they see of it."""
    before = await friends.lock(pair_of(caller.subject, user_id))
    await friends.keep_name(caller.subject, caller.display_name)
    after = await change(before)
    await friends.save(before, after)
    names = await friends.names([after.first_id, after.second_id])
    seen = {
        reader: replace(after.seen_by(reader), display_name=names.get(after.other(reader), ""))
        for reader in (after.first_id, after.second_id)
    }
    changed = {
        reader: replace(friendship, change_time=friendship.change_time or friends.now)
        for reader, friendship in seen.items()
        if friendship.standing is not before.seen_by(reader).standing
    }
    await friends.tell(list(changed.items()))
    return changed.get(caller.subject, seen[caller.subject])
