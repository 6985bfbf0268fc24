"""A round as one player was asked it, with the stamps that the session would put on it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from muster.scoring.v1 import round_service_pb2 as rpc
from muster_kit.delivery import Addressee, Delivery, DeliverySeal

from tests.rpc.house import Metadata
from tests.rpc.scoring_game import SECRET, Player, choose

SEAL = DeliverySeal(SECRET)
NOTHING = timedelta()
MILLISECOND = timedelta(milliseconds=1)


class Asked:
    """A round of ten seconds with a bonus of 1000 that opened two seconds ago, as one player was asked it."""

    def __init__(self, player: Player, opened: rpc.OpenRoundResponse) -> None:
        self.player = player
        self.round_id = opened.round.round_id
        self.open_time = opened.round.open_time.ToDatetime(UTC)

    @classmethod
    async def by(cls, player: Player) -> "Asked":
        opened = await player.game.open_reply(
            seconds=10, ago=2, block_id="block", base_points=1000, speed_bonus=1000
        )
        return cls(player, opened)

    @property
    def addressee(self) -> Addressee:
        return Addressee(self.player.game.session_id, self.player.participant_id, self.round_id)

    def stamp(self, after: timedelta = NOTHING, *, seal: DeliverySeal = SEAL) -> bytes:
        """What the session puts on a frame that is handed over so long after the opening."""
        return seal.seal(self.addressee, Delivery(self.open_time + after))

    def stamp_now(self, ago: timedelta = NOTHING) -> bytes:
        return SEAL.seal(self.addressee, Delivery(datetime.now(UTC) - ago))

    async def acknowledge(self, stamp: bytes, *, by: Metadata = (), instance: int = 0) -> bytes:
        request = rpc.AcknowledgeDeliveryRequest(round_id=self.round_id, delivery_stamp=stamp)
        rounds = self.player.game.scoring.instances[instance].rounds
        reply = await rounds.AcknowledgeDelivery(request, metadata=by or self.player.ticket)
        proof: bytes = reply.delivery_proof
        return proof

    async def answer(self, proof: bytes = b"", *, request_id: str = "", instance: int = 0) -> Any:
        """Answer, rightly; what is said of the time always adds up."""
        request = rpc.SubmitResponseRequest(
            request_id=request_id, round_id=self.round_id, answer=choose("a"), delivery_proof=proof
        )
        rounds = self.player.game.scoring.instances[instance].rounds
        response = (await rounds.SubmitResponse(request, metadata=self.player.ticket)).response
        since_open = response.submit_time.ToDatetime(UTC) - self.open_time
        assert since_open - MILLISECOND < sum(times(response), NOTHING) <= since_open
        spent = times(response)[0] / timedelta(seconds=10)
        assert response.parts.speed == pytest.approx(1000 * (1 - spent), abs=1)
        return response


def times(response: Any) -> tuple[timedelta, timedelta, timedelta]:
    """What counts for speed, the delay of the delivery, and the credit."""
    spans = (response.response_duration, response.delivery_delay, response.network_credit)
    return tuple(span.ToTimedelta() for span in spans)  # type: ignore[return-value]


def left_out(response: Any) -> tuple[timedelta, timedelta]:
    return times(response)[1:]
