"""What a question's delivery and the network take off an answer's time, and what liars gain: the bounds."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from muster.scoring.v1 import round_pb2
from muster.scoring.v1 import round_service_pb2 as rpc
from muster_kit.delivery import Delivery, DeliverySeal
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.asked import MILLISECOND, NOTHING, SEAL, Asked, left_out, times
from tests.rpc.house import error_of, reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import Game, choose
from tests.waiting import until

MOST = timedelta(seconds=1)
"""Both bounds, as they are unless somebody sets them."""

BLINK = timedelta(milliseconds=750)
"""So long a call may take here, at most: less than the bound, which who is not prompt gains."""


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    directory = tmp_path_factory.mktemp("fairness")
    async with open_scoring(stores, directory, instances=2, deaf_instances=1) as scoring:
        yield scoring


@pytest.fixture
def game(scoring: Scoring) -> Game:
    return scoring.game()


async def test_time_runs_from_the_delivery_and_the_round_trip_is_taken_off(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    earlier = timedelta(milliseconds=300)
    stamped = datetime.now(UTC)
    proof = await asked.acknowledge(asked.stamp_now(ago=earlier))
    took = datetime.now(UTC) - stamped
    response = await asked.answer(proof)
    delay, credit = left_out(response)
    # It was handed over more than a second after the opening: that much does not count.
    assert delay == MOST
    assert earlier - MILLISECOND <= credit <= min(earlier + took, MOST)


async def test_a_delay_within_the_bound_counts_exactly(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    response = await asked.answer(asked.stamp(timedelta(milliseconds=640)))
    assert left_out(response) == (timedelta(milliseconds=640), NOTHING)


async def test_the_parts_of_the_time_are_kept_and_listed(game: Game, scoring: Scoring) -> None:
    ann, ben = game.players(2)
    asked = await Asked.by(ann)
    answered = await asked.answer(await asked.acknowledge(asked.stamp(timedelta(milliseconds=640))))
    await ben.submit(asked.round_id)
    assert left_out(answered) == (timedelta(milliseconds=640), MOST)
    listed = {each.participant_id: each for each in (await game.responses()).responses}
    assert listed[ann.participant_id] == answered
    assert not listed[ben.participant_id].HasField("delivery_delay")
    assert not listed[ben.participant_id].HasField("network_credit")
    rows = await scoring.rows(
        "SELECT delivery_delay_ms, network_credit_ms FROM scoring.response WHERE round_id = $1 ORDER BY seq",
        asked.round_id,
    )
    assert [tuple(row) for row in rows] == [(640, 1000), (0, 0)]


async def test_the_board_goes_by_the_time_that_counts(game: Game) -> None:
    """Both have the same points; the one with the better link answers first, but was not quicker."""
    near, far = game.players(2)
    opened = await game.open_reply(ago=2, base_points=1000)
    await near.submit(opened.round.round_id)
    await asyncio.sleep(0.002)
    asked = Asked(far, opened)
    proof = await asked.acknowledge(asked.stamp_now(ago=timedelta(milliseconds=800)))
    request = rpc.SubmitResponseRequest(round_id=asked.round_id, answer=choose("a"), delivery_proof=proof)
    await game.scoring.rounds.SubmitResponse(request, metadata=far.ticket)
    assert [entry.entry_id for entry in await game.board()] == [far.participant_id, near.participant_id]


async def test_answers_on_a_stream_are_timed_alike(game: Game) -> None:
    ann = game.player("ann")
    asked = await Asked.by(ann)
    proof = await asked.acknowledge(asked.stamp(timedelta(milliseconds=10)))
    request = rpc.StreamResponsesRequest(
        sequence=1, round_id=asked.round_id, answer=choose("a"), delivery_proof=proof
    )
    call = game.scoring.rounds.StreamResponses(iter([request]), metadata=ann.ticket)
    (reply,) = [reply async for reply in call]
    assert left_out(reply.result.response) == (timedelta(milliseconds=10), MOST)


async def test_the_same_request_is_told_the_same_whatever_proof_comes_with_it(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    first = await asked.answer(request_id="once")
    stamp = asked.stamp(timedelta(milliseconds=10))
    again = await asked.answer(await asked.acknowledge(stamp), request_id="once")
    assert again == first
    assert left_out(first) == (NOTHING, NOTHING)


@pytest.mark.parametrize("kind", ["nothing", "noise", "forged", "changed", "others", "earlier", "elsewhere"])
async def test_what_was_not_sealed_for_this_seat_and_round_gains_nothing(game: Game, kind: str) -> None:
    ann, ben = game.players(2)
    asked, earlier = await Asked.by(ann), await Asked.by(ann)
    theirs = Asked(ben, await game.open_reply(seconds=10, ago=2))
    theirs.round_id = asked.round_id
    elsewhere = Asked(game.scoring.game().player(ann.participant_id), await game.open_reply(ago=2))
    elsewhere.round_id = asked.round_id
    late = timedelta(milliseconds=900)
    sealed = asked.stamp(late)
    proofs = {
        "nothing": b"",
        "noise": b"\xff" * 28,
        "forged": asked.stamp(late, seal=DeliverySeal("another secret that is long enough too")),
        "changed": sealed[:11] + bytes([sealed[11] ^ 1]) + sealed[12:],
        "others": await theirs.acknowledge(theirs.stamp(late)),
        "earlier": await earlier.acknowledge(earlier.stamp(late)),
        "elsewhere": elsewhere.stamp(late),
    }
    assert left_out(await asked.answer(proofs[kind])) == (NOTHING, NOTHING)


async def test_what_is_no_stamp_of_the_callers_cannot_be_acknowledged(game: Game) -> None:
    ann, ben = game.players(2)
    asked, other = await Asked.by(ann), await Asked.by(ann)
    stamp = asked.stamp()
    for call in (
        asked.acknowledge(b"\0" * 28),
        asked.acknowledge(stamp[:-1]),
        asked.acknowledge(stamp, by=ben.ticket),
        other.acknowledge(stamp),
    ):
        assert await reason_of(call) is Reason.NOT_FOUND
    for size in (0, 65):
        error = await error_of(asked.acknowledge(bytes(size)))
        assert error.reason is Reason.INVALID_FIELD
        assert [violation.field for violation in error.violations] == ["delivery_stamp"]
    assert await asked.acknowledge(stamp)


async def test_a_proof_that_is_too_long_is_refused(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await asked.answer(b"\0" * 65)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_who_acknowledges_late_gains_the_bound_at_most(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    # As if the acknowledgement had been kept back for all of the two seconds.
    response = await asked.answer(await asked.acknowledge(asked.stamp()))
    assert left_out(response) == (NOTHING, MOST)
    assert response.parts.speed <= 1000 * 0.9


async def test_one_prompt_acknowledgement_counts_from_then_on_at_every_worker(game: Game) -> None:
    ann = game.player("ann")
    first = await Asked.by(ann)
    prompt = await first.acknowledge(first.stamp_now())
    least = left_out(await first.answer(prompt))[1]
    assert least < BLINK
    for instance in (0, 1):
        asked = await Asked.by(ann)
        # Neither one kept back, nor the same stamp again, makes it longer.
        await asked.acknowledge(asked.stamp(), instance=instance)
        proof = await asked.acknowledge(asked.stamp(), instance=instance)
        assert left_out(await asked.answer(proof, instance=instance)) == (NOTHING, least)


async def test_of_several_proofs_of_a_question_none_gives_more_than_the_least(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    slow = await asked.acknowledge(asked.stamp())
    await asked.acknowledge(asked.stamp_now())
    assert left_out(await asked.answer(slow))[1] < BLINK


async def test_a_stamp_does_until_its_proof_is_there(game: Game) -> None:
    """Who answers within one round trip has acknowledged by then, but holds no proof yet."""
    asked = await Asked.by(game.player("ann"))
    stamp = asked.stamp(timedelta(milliseconds=10))
    await asked.acknowledge(stamp)
    assert left_out(await asked.answer(stamp)) == (timedelta(milliseconds=10), MOST)


async def test_who_acknowledges_no_more_lives_on_no_older_measurement(game: Game) -> None:
    ann = game.player("ann")
    slow = await Asked.by(ann)
    await slow.acknowledge(slow.stamp())
    asked = await Asked.by(ann)
    assert left_out(await asked.answer(asked.stamp())) == (NOTHING, NOTHING)


async def test_nobody_is_faster_than_no_time_at_all(game: Game) -> None:
    ann = game.player("ann")
    opened = await game.open_reply(seconds=10, base_points=1000, speed_bonus=1000)
    asked = Asked(ann, opened)
    response = await asked.answer(await asked.acknowledge(asked.stamp(-2 * MOST)))
    assert times(response)[0] == NOTHING
    assert response.parts.speed == 1000


async def test_the_clock_of_another_worker_that_runs_ahead_gains_no_more_than_the_bound(game: Game) -> None:
    asked = await Asked.by(game.player("ann"))
    ahead = SEAL.seal(asked.addressee, Delivery(datetime.now(UTC) + timedelta(hours=1)))
    response = await asked.answer(await asked.acknowledge(ahead))
    assert left_out(response) == (MOST, NOTHING)
    behind = await Asked.by(game.player("ben"))
    assert left_out(await behind.answer(behind.stamp(-timedelta(hours=1)))) == (NOTHING, NOTHING)


async def test_without_redis_a_worker_goes_by_what_it_measured_itself(game: Game) -> None:
    deaf = 2
    asked = await Asked.by(game.player("ann"))
    prompt = await asked.acknowledge(asked.stamp_now(), instance=deaf)
    kept_back = await asked.acknowledge(asked.stamp(), instance=deaf)
    assert SEAL.read(asked.addressee, kept_back).round_trip == SEAL.read(asked.addressee, prompt).round_trip  # type: ignore[union-attr]
    assert left_out(await asked.answer(kept_back, instance=deaf))[1] < BLINK


async def test_no_answer_is_taken_after_the_deadline_but_what_was_on_its_way(game: Game) -> None:
    ann = game.player("ann")
    late = await game.open(seconds=1, ago=1.3)
    assert await reason_of(ann.submit(late)) is Reason.ROUND_CLOSED
    assert await reason_of(ann.draft(late)) is Reason.ROUND_CLOSED

    async def is_taken() -> bool:
        just_in_time = await game.open(seconds=1, ago=1.0)
        try:
            reply = await ann.submit(just_in_time)
        except grpc.aio.AioRpcError:
            # To open it and to answer took longer here than an answer may be on its way.
            return False
        return bool(reply.response.status == round_pb2.RESPONSE_STATUS_CORRECT)

    await until(is_taken)
