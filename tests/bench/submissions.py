"""Answers that nobody has given yet: every seat of a seeded session can answer every round once."""

from muster.scoring.v1 import answer_pb2, round_service_pb2

from tests.bench.generator import Load
from tests.bench.stack import NotMeasuredError, Seeded

_CHOICES = "abcd"
_METHOD = "/muster.scoring.v1.RoundService/SubmitResponse"


class Submissions:
    """Hands out a session's answers, round by round, each once."""

    def __init__(self, seeded: Seeded) -> None:
        self._seeded = seeded
        self._next = 0

    @property
    def left(self) -> int:
        """How many there are still."""
        return len(self._seeded.round_ids) * len(self._seeded.tickets) - self._next

    def take(self, count: int) -> Load:
        """The next ones, for unary calls."""
        if count > self.left:
            raise NotMeasuredError(f"Only {self.left} answers of {count} are left: seed more rounds.")
        places = range(self._next, self._next + count)
        self._next += count
        return Load(_METHOD, self._seeded.tickets, [self._call(place) for place in places])

    def _call(self, place: int) -> tuple[int, bytes]:
        number, seat = divmod(place, len(self._seeded.tickets))
        request = round_service_pb2.SubmitResponseRequest(
            request_id=f"bench-{number}-{seat}",
            round_id=self._seeded.round_ids[number],
            answer=answer_of(seat + number),
        )
        return seat, request.SerializeToString()


def answer_of(number: int) -> answer_pb2.Answer:
    """One of the four choices of a seeded block; the first is right."""
    return answer_pb2.Answer(choices=answer_pb2.ChoiceAnswer(choice_ids=[_CHOICES[number % len(_CHOICES)]]))
