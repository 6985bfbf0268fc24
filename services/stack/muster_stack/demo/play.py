"""Puts host, players and screen together for one quiz."""

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from muster.session.v1 import block_pb2

from muster_stack.demo.host import Host, QuestionFile, Stage
from muster_stack.demo.player import Player
from muster_stack.demo.screen import Screen

_FIRST_NAMES = (  # noqa: SIM905 — seventy quoted strings read worse
    "Ada Alan Amina Arjun Aylin Bela Bo Carmen Chidi Chloe Dana Diego Elif Emil Fatou Felix Freya Goran "
    "Grace Hana Hugo Ida Imani Ines Ivan Jana Jonas Kaito Kira Lars Leila Linus Luca Lucia Malik Mara "
    "Mei Milo Mina Nadia Niko Noor Nora Olga Omar Oskar Paula Priya Quinn Rania Ravi Rosa Sami Sanna "
    "Sara Sofia Sven Tariq Tessa Theo Tuva Uma Vera Viktor Wanda Xenia Yara Yusuf Zara Zoe "
).split()
_JOIN_SPREAD_SECONDS = 1.5


@dataclass(frozen=True, slots=True)
class Quiz:
    """What to play: `blocks` 0 for all questions; `pace` is the time limit of a question in seconds."""

    questions: QuestionFile
    players: int
    blocks: int
    pace: float
    reveal_seconds: float
    seed: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: analytics as the contract has them, the top of the board, the questions played."""

    analytics: Any
    board: list[Any]
    questions: list[block_pb2.Block]
    answered: int
    late: int


def player_names(count: int, rng: random.Random) -> list[str]:
    """`count` different names."""
    names = rng.sample(_FIRST_NAMES, min(count, len(_FIRST_NAMES)))
    while len(names) < count:
        names.append(f"{names[len(names) % len(_FIRST_NAMES)]} {len(names) // len(_FIRST_NAMES) + 1}")
    return names


async def play(
    quiz: Quiz, *, address: str, host_token: str, player_tokens: Callable[[int], str], screen: Screen
) -> Outcome:
    """Play `quiz` against the server at `address`; raises grpc.aio.AioRpcError when a call fails."""
    rng = random.Random(quiz.seed)  # noqa: S311 — a game, not a secret
    questions: dict[str, block_pb2.Block] = {}

    def changed(stage: Stage) -> None:
        if stage.question is not None:
            questions[stage.question.block_id] = stage.question
        screen.show(stage, players=quiz.players)

    host = Host(address, host_token, changed)
    try:
        code = await host.prepare(
            quiz.questions,
            title=quiz.questions.name.replace("-", " ").replace("_", " ").title(),
            blocks=quiz.blocks,
            time_limit=timedelta(seconds=max(1.0, quiz.pace)),
            players=quiz.players,
        )
        players = [
            Player(
                address=address,
                name=name,
                token=player_tokens(number),
                skill=rng.uniform(0.3, 0.95),
                knowledge=host.knowledge,
                think_seconds=(0.1 * quiz.pace, 0.9 * quiz.pace),
                rng=random.Random(rng.random()),  # noqa: S311 — a game, not a secret
            )
            for number, name in enumerate(player_names(quiz.players, rng))
        ]
        await _together(host, players, code, quiz, rng)
        analytics, board = await host.results()
    finally:
        await host.close()
    return Outcome(
        analytics=analytics,
        board=board,
        questions=list(questions.values()),
        answered=sum(player.answered for player in players),
        late=sum(player.late for player in players),
    )


async def _together(host: Host, players: Sequence[Player], code: str, quiz: Quiz, rng: random.Random) -> None:
    spread = min(_JOIN_SPREAD_SECONDS, quiz.pace)

    async def arrive(player: Player, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await player.play(code)

    async with asyncio.TaskGroup() as tasks:
        # In the group: a stream of the host that fails must end the game, not leave it waiting.
        watching = tasks.create_task(host.watch())
        playing = [tasks.create_task(arrive(player, rng.uniform(0, spread))) for player in players]
        await host.run(players=quiz.players, reveal_seconds=quiz.reveal_seconds)
        await asyncio.gather(*playing)
        watching.cancel()
