"""The client process of `muster demo`: plays one quiz and shows it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from muster_kit.caller import OrganizationRole
from rich.console import Console

from muster_stack.demo.client_process import run, user_token
from muster_stack.demo.host import QuestionFile
from muster_stack.demo.play import Outcome, Quiz, play
from muster_stack.demo.results import final_standings, question_analytics
from muster_stack.demo.screen import LineScreen, LiveScreen, Screen
from muster_stack.playing import client_address

OUR_QUESTIONS = Path(__file__).parent.parent / "questions" / "demo.gift"
_ORGANIZATION = "demo"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="muster demo")
    parser.add_argument("--questions", type=Path, default=OUR_QUESTIONS)
    parser.add_argument("--players", type=int, required=True)
    parser.add_argument("--blocks", type=int, required=True)
    parser.add_argument("--pace", type=float, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


async def _main() -> int:
    options = _arguments()
    console = Console(stderr=options.json)
    quiz = Quiz(
        questions=QuestionFile.read(options.questions),
        players=options.players,
        blocks=options.blocks,
        pace=options.pace,
        reveal_seconds=options.pace / 2 if console.is_terminal else 0.0,
        seed=options.seed,
    )
    screen: Screen = LiveScreen(console) if console.is_terminal else LineScreen(console)
    with screen:
        outcome = await play(
            quiz,
            address=client_address(),
            host_token=user_token("host", organization=_ORGANIZATION, role=OrganizationRole.EDITOR),
            player_tokens=lambda number: user_token(
                f"player-{number}", organization=_ORGANIZATION, role=OrganizationRole.MEMBER
            ),
            screen=screen,
        )
    if options.json:
        sys.stdout.write(json.dumps(_as_json(outcome)) + "\n")
    else:
        console.print(final_standings(outcome.board, list(outcome.analytics.participants)))
        console.print(question_analytics(outcome.questions, list(outcome.analytics.rounds)))
        session = outcome.analytics.session
        console.print(
            f"{session.participant_count} players, {session.response_count} answers, "
            f"{session.accuracy:.0%} right, {outcome.late} too late",
            highlight=False,
        )
    return 0


def _as_json(outcome: Outcome) -> dict[str, Any]:
    return {
        "analytics": MessageToDict(outcome.analytics, preserving_proto_field_name=True),
        "board": [MessageToDict(entry, preserving_proto_field_name=True) for entry in outcome.board],
        "answered": outcome.answered,
        "late": outcome.late,
    }


if __name__ == "__main__":
    sys.exit(run(_main))
