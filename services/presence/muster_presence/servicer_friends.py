"""Serves `muster.presence.v1.FriendService`: friendships, who of friends is here, and quick reactions."""

from collections.abc import Mapping, Sequence
from functools import partial

from muster.presence.v1 import friend_pb2
from muster.presence.v1 import friend_service_pb2 as pb
from muster_kit.errors import MusterError, Reason
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call

from muster_presence.convert_friends import activity_in, away, friendship_message, standings_of
from muster_presence.friend_requests import FriendRequests
from muster_presence.model_friends import FriendLimits, Rate, Standing
from muster_presence.store_friends import FriendDirectory, FriendFilter
from muster_presence.usecases_friend_sight import FriendPresence
from muster_presence.usecases_friends import (
    block_user,
    remove_friend,
    request_friend,
    respond_to_request,
    unblock_user,
    whose_friends,
)
from muster_presence.usecases_friends_watch import FriendWatches
from muster_presence.usecases_reactions import ReactionRules, send_reaction


class FriendServicer:
    """All calls of the service."""

    def __init__(
        self,
        *,
        requests: FriendRequests,
        directory: FriendDirectory,
        presence: FriendPresence,
        watches: FriendWatches,
        limits: FriendLimits,
        request_rate: Rate,
        reaction_rules: ReactionRules,
    ) -> None:
        self._requests = requests
        self._directory = directory
        self._presence = presence
        self._watches = watches
        self._limits = limits
        self._request_rate = request_rate
        self._reaction_rules = reaction_rules

    async def RequestFriend(self, request: pb.RequestFriendRequest, call: Call) -> bytes:
        """Ask someone to be friends."""
        return await self._requests.run(
            call.caller,
            partial(
                request_friend,
                caller=call.caller,
                user_id=request.user_id,
                note=request.note,
                limits=self._limits,
                rate=self._request_rate,
            ),
            about=request.user_id,
            request=request,
            encode=lambda made: pb.RequestFriendResponse(friendship=friendship_message(made)),
        )

    async def RespondToFriendRequest(self, request: pb.RespondToFriendRequestRequest, call: Call) -> bytes:
        """Accept or decline."""
        return await self._requests.run(
            call.caller,
            partial(
                respond_to_request,
                caller=call.caller,
                user_id=request.user_id,
                accepts=request.answer == friend_pb2.FRIEND_ANSWER_ACCEPT,
                limits=self._limits,
            ),
            about=request.user_id,
            request=request,
            encode=lambda made: pb.RespondToFriendRequestResponse(friendship=friendship_message(made)),
        )

    async def RemoveFriend(self, request: pb.RemoveFriendRequest, call: Call) -> bytes:
        """End a friendship, or take a request back."""
        return await self._requests.run(
            call.caller,
            partial(remove_friend, caller=call.caller, user_id=request.user_id),
            about=request.user_id,
            request=request,
            encode=lambda _: pb.RemoveFriendResponse(),
        )

    async def BlockUser(self, request: pb.BlockUserRequest, call: Call) -> bytes:
        """Block someone."""
        return await self._requests.run(
            call.caller,
            partial(block_user, caller=call.caller, user_id=request.user_id, limits=self._limits),
            about=request.user_id,
            request=request,
            encode=lambda made: pb.BlockUserResponse(friendship=friendship_message(made)),
        )

    async def UnblockUser(self, request: pb.UnblockUserRequest, call: Call) -> bytes:
        """Lift a block."""
        return await self._requests.run(
            call.caller,
            partial(unblock_user, caller=call.caller, user_id=request.user_id),
            about=request.user_id,
            request=request,
            encode=lambda _: pb.UnblockUserResponse(),
        )

    async def ListFriends(self, request: pb.ListFriendsRequest, call: Call) -> pb.ListFriendsResponse:
        """List friendships by name."""
        organization_id = call.caller.organization_id
        user_id = whose_friends(call.caller, request.of_user_id)
        wanted = FriendFilter(standings_of(request.states), frozenset(request.user_ids) or None)
        scope = user_id, sorted(wanted.standings), sorted(request.user_ids)
        pages = Pages("friends", organization_id, *scope, page_size=request.page_size)
        after = pages.text_and_id(request.page_token)
        rows = await self._directory.list_friends(
            organization_id, user_id, wanted, after=after, limit=pages.limit
        )
        shown, last = pages.cut(rows)
        friendships = [row.friendship for row in shown]
        friends = [each.user_id for each in friendships if each.standing is Standing.FRIENDS]
        presences = await self._presences(organization_id, friends)
        return pb.ListFriendsResponse(
            friendships=[
                friendship_message(each, presence=presences.get(each.user_id, b"")) for each in friendships
            ],
            next_page_token=pages.token(last.sort_name, "\0", last.friendship.user_id) if last else "",
        )

    async def WatchFriends(self, request: pb.WatchFriendsRequest, call: Call) -> None:
        """Stream friendships, and the presence of friends."""
        await self._watches.watch(
            call.caller,
            after=request.after,
            max_frames=request.max_frames,
            replay_only=request.replay_only,
            write=call.write,
        )

    async def SendQuickReaction(self, request: pb.SendQuickReactionRequest, call: Call) -> bytes:
        """Send a sign to a friend."""
        self._reaction_rules.require_known(request.reaction)
        presences = await self._presences(call.caller.organization_id, [request.user_id])
        return await self._requests.run(
            call.caller,
            partial(
                send_reaction,
                caller=call.caller,
                user_id=request.user_id,
                reaction=request.reaction,
                activity=activity_in(presences.get(request.user_id, b"")),
                rules=self._reaction_rules,
            ),
            about=request.user_id,
            request=request,
            encode=lambda _: pb.SendQuickReactionResponse(),
        )

    async def _presences(self, organization_id: str, user_ids: Sequence[str]) -> Mapping[str, bytes]:
        """Return the presences of friends, OFFLINE ones too; none while the index is away."""
        try:
            found = await self._presence.seen(organization_id, user_ids) if user_ids else {}
        except MusterError as error:
            if error.reason is not Reason.UNAVAILABLE:
                raise
            # Who is a friend is known all the same.
            return {}
        return {
            user_id: look.presence if (look := found.get(user_id)) else away(organization_id, user_id)
            for user_id in user_ids
        }
