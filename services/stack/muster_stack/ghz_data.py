"""What the profiles of `deploy/ghz` send: requests and tokens for a seeded session, as files for ghz."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from muster.scoring.v1 import answer_pb2, board_pb2, board_service_pb2, round_service_pb2
from muster.session.v1 import session_service_pb2

from muster_stack.contracts import descriptor_set
from muster_stack.credentials import write_private
from muster_stack.problem import Problem

BATCH: Final = 100
STREAM_MESSAGES: Final = 20
ENTRIES: Final = 1000

# ghz takes tokens from its environment, which is of limited size: 2 MB on most systems.
_MOST_TOKENS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A seeded session, and a board that adds, for ghz to call.

    `joiners` are tokens of users who have not joined, `tickets` those of seats.
    """

    session_id: str
    join_code: str
    board_id: str
    round_ids: Sequence[str]
    tickets: Sequence[str]
    joiners: Sequence[str]
    service_token: str


def requests(target: Target) -> Mapping[str, Sequence[Message]]:
    """Return the requests of each profile, by its name; ghz sends them in turns, or all on each stream."""
    session_id, board_id = target.session_id, target.board_id
    return {
        "join-session": [session_service_pb2.JoinSessionRequest(join_code=target.join_code)],
        "submit-response": [_answer(round_id) for round_id in _rounds(target)],
        "batch-submit-scores": [
            board_service_pb2.BatchSubmitScoresRequest(
                board_id=board_id, submissions=[_score(number) for number in range(first, first + BATCH)]
            )
            for first in range(0, ENTRIES, BATCH)
        ],
        "stream-submit-scores": [
            board_service_pb2.StreamSubmitScoresRequest(
                sequence=number + 1,
                board_id=board_id,
                submissions=[_score(number * BATCH + place) for place in range(BATCH)],
            )
            for number in range(STREAM_MESSAGES)
        ],
        "list-entries": [board_service_pb2.ListEntriesRequest(board_id=session_id, page_size=50)],
        "watch-session": [session_service_pb2.WatchSessionRequest(session_id=session_id, max_frames=1)],
    }


def variables(target: Target) -> Mapping[str, str]:
    """Return the environment from which the profiles' metadata take their tokens."""
    tickets, joiners = target.tickets[:_MOST_TOKENS], target.joiners[:_MOST_TOKENS]
    return {
        "SERVICE_TOKEN": target.service_token,
        "TICKETS": str(len(tickets)),
        **{f"TICKET_{number}": token for number, token in enumerate(tickets)},
        "JOINERS": str(len(joiners)),
        **{f"JOINER_{number}": token for number, token in enumerate(joiners)},
    }


def write(directory: Path, target: Target) -> None:
    """Write `muster.protoset`, a file of requests for each profile, and `tokens.env`, which is private."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "muster.protoset").write_bytes(descriptor_set().SerializeToString(deterministic=True))
        for name, messages in requests(target).items():
            (directory / f"{name}.json").write_text(json.dumps(list(map(MessageToDict, messages))))
    except OSError as error:
        raise Problem.from_os_error(error, directory) from error
    lines = [f"{name}={value}\n" for name, value in variables(target).items()]
    write_private(directory / "tokens.env", "".join(lines).encode())


def _rounds(target: Target) -> Sequence[str]:
    """Return as many rounds as have no divisor in common with the seats.

    ghz counts through both side by side: so it comes to every pair before it comes to one again.
    """
    seats, rounds = min(len(target.tickets), _MOST_TOKENS), len(target.round_ids)
    return target.round_ids[: next(count for count in range(rounds, 0, -1) if math.gcd(count, seats) == 1)]


def _answer(round_id: str) -> round_service_pb2.SubmitResponseRequest:
    # With a request id, so that who runs the profile again gets the same answers again, and no errors.
    choices = answer_pb2.ChoiceAnswer(choice_ids=["a"])
    return round_service_pb2.SubmitResponseRequest(
        request_id="ghz", round_id=round_id, answer=answer_pb2.Answer(choices=choices)
    )


def _score(number: int) -> board_pb2.ScoreSubmission:
    return board_pb2.ScoreSubmission(entry_id=f"player-{number % ENTRIES + 1}", score=number % 97 + 1)
