"""Whoever is erased leaves nothing in inboxes, their own or those of others."""

import pytest
from muster.presence.v1 import inbox_pb2
from muster.presence.v1 import presence_service_pb2 as pb
from muster_kit.caller import OrganizationRole
from muster_presence.model_inbox import inbox_room

from tests.rpc.house import House
from tests.rpc.presence_guests import Gathering
from tests.rpc.presence_inbox import caught_up, listening, notify, waiting_for


@pytest.fixture
def gathering(house: House) -> Gathering:
    return Gathering(house)


def invitation(gathering: Gathering, sender: str) -> inbox_pb2.InvitationNotice:
    """Return an invitation that somebody sent."""
    return inbox_pb2.InvitationNotice(
        invitation_id=f"of-{sender}",
        scope=gathering.scope,
        from_user_id=sender,
        stage=inbox_pb2.INVITATION_STAGE_PENDING,
    )


async def erase(gathering: Gathering, user_id: str) -> None:
    """Erase somebody."""
    admin = gathering.user("boss", OrganizationRole.ADMIN)
    await gathering.house.presence.EraseUser(pb.EraseUserRequest(user_id=user_id), metadata=admin)


async def stored(gathering: Gathering, user_id: str) -> list[str | None]:
    """Return the kinds of the events in somebody's inbox."""
    rows = await gathering.house.rows(
        "SELECT payload FROM presence.room_event WHERE room_id = :room ORDER BY seq",
        room=inbox_room(gathering.organization, user_id),
    )
    return [inbox_pb2.InboxEvent.FromString(payload).WhichOneof("event") for (payload,) in rows]


async def test_the_inbox_of_who_is_erased_is_emptied_and_closed(gathering: Gathering) -> None:
    await notify(gathering, "ana", invitation=invitation(gathering, "bo"))
    before = await caught_up(gathering, gathering.user("ana"))
    await erase(gathering, "ana")
    assert await stored(gathering, "ana") == []
    assert await notify(gathering, "ana") == 0
    assert await stored(gathering, "ana") == []
    # No cursor of before counts any more, also where the inbox was still at hand.
    async with listening(gathering.house, gathering.user("ana"), after=before.cursor, begins=False) as after:
        await after.until("reset")
    assert not (await waiting_for(gathering, gathering.user("ana"))).invitations


async def test_inboxes_of_others_keep_nothing_from_who_is_erased(gathering: Gathering) -> None:
    for sender in ("ana", "anna", "bo"):
        await notify(gathering, "cy", invitation=invitation(gathering, sender))
    await notify(gathering, "cy", kind="ana")
    await erase(gathering, "ana")
    assert await stored(gathering, "cy") == ["erased", "invitation", "invitation", "custom"]
    waiting = await waiting_for(gathering, gathering.user("cy"))
    assert [each.from_user_id for each in waiting.invitations] == ["bo", "anna"]
