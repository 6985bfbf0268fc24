"""Sorts what became of a batch of answers by session, for the boards."""

from muster_scoring.model import Changes, Seat, Standing
from muster_scoring.store import Outcome, Verdict


class SessionPart:
    """One session's part: outcomes with standings, and the places in the batch of their entries."""

    __slots__ = ("first_seq", "last_seq", "outcomes", "places", "seat", "standings")

    def __init__(self, seat: Seat, first_seq: int) -> None:
        self.seat = seat
        self.first_seq = self.last_seq = first_seq
        self.places: list[int] = []
        self.outcomes: list[Outcome] = []
        self.standings: list[Standing] = []

    def changes(self) -> Changes:
        """Return it as what is told of a session."""
        return Changes(
            session_id=self.seat.session_id,
            organization_id=self.seat.organization_id,
            first_seq=self.first_seq,
            last_seq=self.last_seq,
            standings=tuple(self.standings),
        )


class BatchChanges:
    """What a batch changed, by session."""

    def __init__(self) -> None:
        self._parts: dict[str, SessionPart] = {}

    def add(self, place: int, seat: Seat, outcome: Outcome) -> None:
        """Note what became of the entry at a place of the batch."""
        # Who has answered before is ranked as well: a repeated request is told the rank of now.
        if outcome.standing is None or outcome.response is None:
            return
        part = self._parts.get(seat.session_id)
        if part is None:
            part = self._parts[seat.session_id] = SessionPart(seat, outcome.first_seq)
        part.places.append(place)
        part.outcomes.append(outcome)
        part.standings.append(outcome.standing)
        if outcome.verdict is Verdict.ACCEPTED:
            part.last_seq = max(part.last_seq, outcome.response.seq)

    def parts(self) -> list[SessionPart]:
        """Return the sessions' parts."""
        return list(self._parts.values())
