"""Leaving, kicking, banning and changing parts: what it means for seats, streams, tickets and answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import grpc
import pytest
from muster.scoring.v1 import answer_pb2
from muster.scoring.v1 import board_service_pb2 as boards_pb
from muster.scoring.v1 import round_service_pb2 as rounds_pb
from muster.session.v1 import session_pb2
from muster_kit.errors import Reason

from tests.quickness import assert_quick
from tests.rpc.house import House, Metadata, bearer, reason_of
from tests.rpc.lessons import Lesson, Seat, new_lesson
from tests.waiting import until

STATUSES = session_pb2.ParticipantStatus
JOINED, LEFT, KICKED, BANNED = (
    getattr(session_pb2, f"PARTICIPANT_STATUS_{name}") for name in ("JOINED", "LEFT", "KICKED", "BANNED")
)
COHOST, PARTICIPANT, SPECTATOR = (
    getattr(session_pb2, f"PARTICIPANT_ROLE_{name}") for name in ("COHOST", "PARTICIPANT", "SPECTATOR")
)

SendAway = Callable[[Lesson, Seat], Awaitable[object]]


async def leave(lesson: Lesson, seat: Seat) -> object:
    return await lesson.call("LeaveSession", by=seat.ticket)


async def kick(lesson: Lesson, seat: Seat) -> object:
    return await lesson.call("KickParticipant", participant_id=seat.id, reason="noise")


async def ban(lesson: Lesson, seat: Seat) -> object:
    return await lesson.call("BanParticipant", participant_id=seat.id, reason="noise")


async def open_lesson(house: House, **settings: object) -> Lesson:
    lesson = await new_lesson(house, blocks=1, **{"late_join_allowed": True, **settings})
    await lesson.open()
    return lesson


async def listed(lesson: Lesson, *statuses: int, by: Metadata | None = None) -> list[tuple[str, int]]:
    answer = await lesson.call("ListParticipants", statuses=statuses, by=by)
    return [(seat.participant_id, seat.status) for seat in answer.participants]


@pytest.mark.parametrize(
    ("send_away", "status"), [(leave, LEFT), (kick, KICKED), (ban, BANNED)], ids=["leave", "kick", "ban"]
)
async def test_who_goes_is_gone_for_all(house: House, send_away: SendAway, status: int) -> None:
    lesson = await open_lesson(house)
    ana, ben = await lesson.join("ana"), await lesson.join("ben")
    async with lesson.watch(ben.ticket) as watch:
        await send_away(lesson, ana)
        kind = "participant_left" if status == LEFT else "participant_removed"
        event = await watch.event(kind, participant_id=ana.id)
        assert event.participant_count == 1
        view = (await watch.frame("view")).view
        assert view.participant_count == 1
    assert (await lesson.session()).participant_count == 1
    assert await listed(lesson) == [(ben.id, JOINED)]
    assert await listed(lesson, status) == [(ana.id, status)]
    # Who was sent away is not for participants to see.
    assert await listed(lesson, status, by=ben.ticket) == ([(ana.id, LEFT)] if status == LEFT else [])


@pytest.mark.parametrize("send_away", [leave, kick, ban])
async def test_streams_end_and_tickets_stop_counting_within_a_second(
    house: House, send_away: SendAway
) -> None:
    async def seconds() -> float:
        lesson = await open_lesson(house)
        ana, ben = await lesson.join("ana"), await lesson.join("ben")
        async with lesson.watch(ana.ticket) as gone, lesson.watch(ben.ticket) as staying:
            began = time.monotonic()
            await send_away(lesson, ana)
            assert await gone.ended() is grpc.StatusCode.UNAUTHENTICATED
            took = time.monotonic() - began
            assert await reason_of(lesson.session(ana.ticket)) is Reason.TICKET_REVOKED
            assert not staying._reader.done()
        return took

    await assert_quick(1, seconds)


@pytest.mark.parametrize("send_away", [kick, ban, leave])
async def test_answers_of_who_is_gone_are_refused_within_a_second(house: House, send_away: SendAway) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    block = (await lesson.block_call("ActivateBlock")).block
    await send_away(lesson, ana)
    request = rounds_pb.SubmitResponseRequest(
        round_id=block.round_id, answer=answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True))
    )
    refused = house.rounds.SubmitResponse(request, metadata=ana.ticket)
    assert await reason_of(refused) is Reason.TICKET_REVOKED
    # Scoring hears of it as well, for the day the revocation is forgotten.
    await until(lambda: bool(house.gate.asked("UpdateSeat", lesson.session_id)), seconds=1)
    (told,) = house.gate.asked("UpdateSeat", lesson.session_id)
    assert (told.participant_id, told.minimum_generation) == (ana.id, 2)
    assert told.hidden is (send_away is not leave)


async def test_who_was_kicked_may_come_back_with_the_code_to_the_same_seat(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await kick(lesson, ana)
    assert await reason_of(lesson.join_by_id(ana.user)) is Reason.JOIN_REFUSED
    again = await lesson.join("ana")
    assert (again.id, again.joined.rejoined) == (ana.id, True)
    assert await reason_of(lesson.session(ana.ticket)) is Reason.TICKET_REVOKED
    assert (await lesson.session(again.ticket)).participant_count == 1

    # And is on the board again.
    def told() -> list[bool]:
        return [seat.hidden for seat in house.gate.asked("UpdateSeat", lesson.session_id)]

    await until(lambda: told()[-1:] == [False])


async def test_late_word_of_a_kick_does_not_hide_who_has_come_back(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    block = (await lesson.block_call("ActivateBlock")).block
    answer = rounds_pb.SubmitResponseRequest(
        round_id=block.round_id, answer=answer_pb2.Answer(true_false=answer_pb2.TrueFalseAnswer(value=True))
    )
    await house.rounds.SubmitResponse(answer, metadata=ana.ticket)
    await kick(lesson, ana)
    await until(lambda: bool(house.gate.asked("UpdateSeat", lesson.session_id)))
    again = await lesson.join("ana")
    await until(lambda: len(house.gate.asked("UpdateSeat", lesson.session_id)) == 2)
    late, newest = house.gate.asked("UpdateSeat", lesson.session_id)
    assert (late.hidden, newest.hidden) == (True, False)
    assert late.minimum_generation < newest.minimum_generation
    for word in (newest, late):
        await house.rounds.UpdateSeat(word, metadata=house.service())
    board = await house.boards.ListEntries(
        boards_pb.ListEntriesRequest(board_id=lesson.session_id), metadata=again.ticket
    )
    assert [entry.entry_id for entry in board.entries] == [ana.id]


async def test_who_was_banned_stays_out_until_the_ban_is_lifted(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await ban(lesson, ana)
    assert await reason_of(lesson.join("ana")) is Reason.BANNED
    assert await reason_of(ban(lesson, ana)) is Reason.PARTICIPANT_STATUS
    lifted = await lesson.call("BanParticipant", participant_id=ana.id, lift=True)
    assert lifted.participant.status == LEFT
    again = await lesson.join("ana")
    assert again.id == ana.id
    twice = lesson.call("BanParticipant", participant_id=ana.id, lift=True)
    assert await reason_of(twice) is Reason.PARTICIPANT_STATUS


async def test_who_has_left_can_be_banned_but_not_kicked(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await leave(lesson, ana)
    assert await reason_of(kick(lesson, ana)) is Reason.PARTICIPANT_STATUS
    await ban(lesson, ana)
    assert (await lesson.session()).participant_count == 0


async def test_nobody_leaves_twice_or_without_a_seat(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await lesson.call("LeaveSession", by=ana.user)
    assert await reason_of(lesson.call("LeaveSession", by=ana.user)) is Reason.PARTICIPANT_STATUS
    assert await reason_of(lesson.call("LeaveSession", by=lesson.user("ben"))) is Reason.PARTICIPANT_STATUS
    host = bearer((await lesson.join_by_id(lesson.host)).ticket.token)
    assert await reason_of(lesson.call("LeaveSession", by=host)) is Reason.PARTICIPANT_STATUS


async def test_why_somebody_was_sent_away_is_on_record(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await kick(lesson, ana)
    rows = await house.rows(
        "SELECT change_reason, changed_by_user_id FROM session.participant WHERE participant_id = :id",
        id=ana.id,
    )
    assert rows == [("noise", "host")]


@pytest.mark.parametrize("rpc", ["KickParticipant", "BanParticipant"])
async def test_participants_send_nobody_away(house: House, rpc: str) -> None:
    lesson = await open_lesson(house)
    ana, ben = await lesson.join("ana"), await lesson.join("ben")
    for who in (ben.ticket, ben.user):
        assert await reason_of(lesson.call(rpc, by=who, participant_id=ana.id)) is Reason.PERMISSION_DENIED
    assert await reason_of(lesson.call(rpc, participant_id="nobody")) is Reason.NOT_FOUND


async def test_a_cohost_runs_the_session_with_a_ticket_that_says_so(house: House) -> None:
    lesson = await open_lesson(house)
    ana, ben = await lesson.join("ana"), await lesson.join("ben")
    assert await reason_of(lesson.call("StartSession", by=ana.ticket)) is Reason.PERMISSION_DENIED
    async with lesson.watch(ana.ticket) as watch:
        updated = await lesson.call("UpdateParticipant", participant_id=ana.id, role=COHOST)
        assert updated.participant.role == COHOST
        # The ticket says something that is not true any more.
        assert await watch.ended() is grpc.StatusCode.UNAUTHENTICATED
    assert (await lesson.session()).participant_count == 1
    cohost = bearer((await lesson.join_by_id(ana.user)).ticket.token)
    await lesson.call("StartSession", by=cohost)
    await lesson.call("KickParticipant", by=cohost, participant_id=ben.id)
    assert (await lesson.blocks(cohost))[0].HasField("answer_key")


async def test_who_is_no_cohost_any_more_runs_nothing(house: House) -> None:
    lesson = await open_lesson(house)
    ana = await lesson.join("ana")
    await lesson.call("UpdateParticipant", participant_id=ana.id, role=COHOST)
    cohost = bearer((await lesson.join_by_id(ana.user)).ticket.token)
    await lesson.call("UpdateParticipant", participant_id=ana.id, role=PARTICIPANT)
    assert await reason_of(lesson.call("StartSession", by=cohost)) is Reason.TICKET_REVOKED
    assert (await lesson.session()).participant_count == 1


async def test_a_spectator_becomes_a_participant_when_there_is_room(house: House) -> None:
    lesson = await open_lesson(house, max_participants=1)
    ana, ben = await lesson.join("ana", as_spectator=True), await lesson.join("ben")
    change = {"participant_id": ana.id, "role": PARTICIPANT}
    assert await reason_of(lesson.call("UpdateParticipant", **change)) is Reason.SESSION_FULL
    await leave(lesson, ben)
    await lesson.call("UpdateParticipant", **change)
    assert (await lesson.session()).participant_count == 1


async def test_participants_change_their_own_name_and_nobody_elses(house: House) -> None:
    lesson = await open_lesson(house)
    ana, ben = await lesson.join("ana"), await lesson.join("ben")
    async with lesson.watch(ana.ticket) as own, lesson.watch(ben.ticket) as other:
        renamed = await lesson.call(
            "UpdateParticipant", by=ana.ticket, participant_id=ana.id, display_name=" Ana  B. "
        )
        assert renamed.participant.display_name == "Ana B."
        event = await other.event("participant_updated")
        assert event.participant == renamed.participant
        # The ticket carries the name to scoring: it brings the new one at once.
        ticket = (await own.frame("ticket")).ticket
    assert (await lesson.session(bearer(ticket.token))).session_id == lesson.session_id
    foreign = lesson.call("UpdateParticipant", by=ana.ticket, participant_id=ben.id, display_name="x")
    assert await reason_of(foreign) is Reason.PERMISSION_DENIED
    promotion = lesson.call("UpdateParticipant", by=ana.ticket, participant_id=ana.id, role=COHOST)
    assert await reason_of(promotion) is Reason.PERMISSION_DENIED
    by_user = await lesson.call(
        "UpdateParticipant", by=ana.user, participant_id=ana.id, display_name="Ana C."
    )
    assert by_user.participant.display_name == "Ana C."


async def test_the_count_is_right_after_everybody_came_and_went_at_once(house: House) -> None:
    lesson = await open_lesson(house)

    async def come_and_go(number: int) -> None:
        seat = await lesson.join(f"user-{number}", as_spectator=number % 5 == 0)
        if number % 3 == 0:
            await leave(lesson, seat)
        elif number % 7 == 0:
            await kick(lesson, seat)
            await lesson.join(f"user-{number}")

    await asyncio.gather(*(come_and_go(number) for number in range(40)))
    seats = (await lesson.call("ListParticipants", page_size=200)).participants
    counted = [seat for seat in seats if seat.role == PARTICIPANT]
    assert (await lesson.session()).participant_count == len(counted)
    rows = await house.rows(
        "SELECT seat_count FROM session.session WHERE session_id = :id", id=lesson.session_id
    )
    assert rows == [(len(seats),)]
