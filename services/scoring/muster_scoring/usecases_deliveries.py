"""When an answer's time began, and what the network took of it, by the server's clocks alone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import structlog
from muster_kit.caller import Caller
from muster_kit.clock import Clock
from muster_kit.db.group_commit import GroupCommit
from muster_kit.delivery import Addressee, Delivery, DeliverySeal
from muster_kit.errors import MusterError, Reason
from muster_kit.recent import Recent
from muster_kit.records import record

from muster_scoring.model import MILLISECOND, Round, Seat
from muster_scoring.settings import TimingBounds
from muster_scoring.store_deliveries import RoundTrips, SeatKey

_SEATS: Final = 65_536
"""So many seats' least round trips are kept here; of the others, the store behind knows."""
_IDLE_SECONDS: Final = 600.0

_NOTHING: Final = timedelta()

_log = structlog.get_logger(__name__)


@record
class Timing:
    """How long an answer took, and what was left out of it; in whole milliseconds, none below zero."""

    duration: timedelta
    delivery_delay: timedelta = _NOTHING
    network_credit: timedelta = _NOTHING


@dataclass(frozen=True, slots=True)
class _Measured:
    """The least round trip of a seat, and the round that was acknowledged last."""

    round_trip: timedelta
    round_id: str


class Deliveries:
    """Measures round trips, and times answers by them.

    The time of an answer begins when the participant's stream was handed the question, and ends when
    the answer arrives; of that, the least round trip measured for the seat is taken off. No time that
    a client tells is ever used, so one that sets its clock gains nothing.
    """

    def __init__(self, seal: DeliverySeal, trips: RoundTrips, clock: Clock, bounds: TimingBounds) -> None:
        """`clock` agrees with the one by which questions are stamped."""
        self._seal = seal
        self._trips = trips
        self._clock = clock
        self._bounds = bounds
        self._measured = Recent[SeatKey, _Measured](capacity=_SEATS, idle_seconds=_IDLE_SECONDS)
        self._group: GroupCommit[tuple[SeatKey, timedelta], timedelta] = GroupCommit(self._flush)

    async def acknowledge(self, caller: Caller, round_id: str, stamp: bytes) -> bytes:
        """Measure the round trip that ends here; return the proof to send with the answer.

        Raises NOT_FOUND when the stamp is not of this seat and round, RATE_LIMITED, DRAINING.
        """
        now = self._clock.now()
        to = Addressee(caller.room_id, caller.participant_id, round_id)
        delivery = self._seal.read(to, stamp)
        if delivery is None:
            raise MusterError(Reason.NOT_FOUND, detail="no such delivery to this seat")
        seat = SeatKey(caller.room_id, caller.participant_id)
        # Before anything is awaited: the answer may be right behind.
        least = self._note(seat, round_id, max(_NOTHING, now - delivery.time))
        least = self._note(seat, round_id, await self._group.submit((seat, least)))
        return self._seal.seal(to, replace(delivery, round_trip=least))

    def time(self, seat: Seat, round_: Round, received_time: datetime, proof: bytes) -> Timing:
        """Return how long an answer took that arrived then.

        `proof` is what `acknowledge` gave, or the stamp itself. One that says nothing, whatever the
        reason, leaves the time since the opening, which is also what the three parts add up to.
        """
        gross = round_.elapsed(received_time)
        delivery = None
        if proof:
            to = Addressee(seat.session_id, seat.participant_id, round_.round_id)
            delivery = self._seal.read(to, proof)
        if delivery is None:
            return Timing(gross)
        delay = _within(delivery.time - round_.open_time, min(gross, self._bounds.delivery_delay))
        left = gross - delay
        trip = self._round_trip(seat, round_, delivery)
        credit = _within(trip, min(left, self._bounds.network_credit))
        return Timing(left - credit, delay, credit)

    async def forget(self, session_id: str) -> None:
        """Remove what is kept of a session's seats for all workers. Raises UNAVAILABLE."""
        await self._trips.remove(session_id)

    async def close(self) -> None:
        """Refuse what comes now, and finish what is here."""
        await self._group.close()

    def _round_trip(self, seat: Seat, round_: Round, delivery: Delivery) -> timedelta:
        """Return the least that is known of the seat, once this very question has been acknowledged."""
        measured = self._measured.get(SeatKey(seat.session_id, seat.participant_id))
        proven = delivery.round_trip
        if measured is None:
            return proven or _NOTHING
        if proven is None:
            return measured.round_trip if measured.round_id == round_.round_id else _NOTHING
        return min(measured.round_trip, proven)

    def _note(self, seat: SeatKey, round_id: str, trip: timedelta) -> timedelta:
        """Return the least round trip of a seat that is known here, this one included."""
        before = self._measured.get(seat)
        least = trip if before is None else min(trip, before.round_trip)
        self._measured.put(seat, _Measured(least, round_id))
        return least

    async def _flush(self, samples: Sequence[tuple[SeatKey, timedelta]]) -> Sequence[timedelta]:
        try:
            return await self._trips.note(samples)
        except MusterError as error:
            # What this worker has measured has to do.
            _log.warning("round_trips_not_kept", samples=len(samples), error=repr(error))
            return [trip for _, trip in samples]


def _within(span: timedelta, most: timedelta) -> timedelta:
    """Return the whole milliseconds of a span, at least none and at most so many."""
    if span <= _NOTHING:
        return _NOTHING
    return min(span, most) // MILLISECOND * MILLISECOND
