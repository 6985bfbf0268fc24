"""Sessions are made, played, ended and deleted for an hour, and the memory of each process is watched.

`python -m tests.chaos.soak [--minutes N] [--players N] [--pause-seconds N] [--json]`
"""

import argparse
import asyncio
import json
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final

from muster.session.v1 import session_service_pb2

from tests.bench.stack import new_directory
from tests.chaos.memory import MEGABYTE, Growth, growth, held
from tests.chaos.people import Person
from tests.chaos.quiz import Quiz, open_quiz
from tests.e2e.running import Running, muster_up

_SAMPLE_SECONDS: Final = 2.0
_WARM_UP: Final = 0.2
"""This part of the time is left out: caches fill, code is loaded, pools grow to their size."""
_BLOCKS, _BLOCK_SECONDS = 4, 3.0


@dataclass(slots=True)
class Soak:
    """A long run on one stack."""

    running: Running
    players: int
    pause_seconds: float
    samples: dict[str, list[tuple[float, int]]] = field(default_factory=dict)
    sessions: list[float] = field(default_factory=list)
    answers: int = 0

    async def run(self, seconds: float) -> None:
        """Play one session after another."""
        sampling = asyncio.create_task(self._sample())
        until = time.monotonic() + seconds
        try:
            while time.monotonic() < until:
                await self._play_one(len(self.sessions))
                self.sessions.append(time.monotonic())
                await asyncio.sleep(self.pause_seconds)
        finally:
            sampling.cancel()
            await asyncio.wait([sampling])

    def growths(self) -> dict[str, Growth]:
        """How fast each process grows once it is warm."""
        return {name: growth(self._warm(samples)) for name, samples in self.samples.items()}

    def table(self) -> str:
        """What is printed."""
        lines = [f"{len(self.sessions)} sessions, {self.answers} answers", ""]
        lines.append(
            f"{'process':12} {'first MB':>9} {'last MB':>9} {'MB/h':>8} {'±':>6} {'KB a session':>13}"
        )
        for name, found in self.growths().items():
            samples = self.samples[name]
            first, last = (self._warm(samples)[0][1], samples[-1][1])
            lines.append(
                f"{name:12} {first / MEGABYTE:9.1f} {last / MEGABYTE:9.1f} {found.megabytes_an_hour:8.2f}"
                f" {found.either_way:6.2f} {self._kilobytes_a_session(found):13.2f}"
            )
        return "\n".join(lines)

    def told(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "sessions": len(self.sessions),
            "answers": self.answers,
            "growth": {
                name: {
                    "megabytes_an_hour": found.megabytes_an_hour,
                    "either_way": found.either_way,
                    "kilobytes_a_session": self._kilobytes_a_session(found),
                }
                for name, found in self.growths().items()
            },
            "samples": self.samples,
        }

    def _warm(self, samples: list[tuple[float, int]]) -> list[tuple[float, int]]:
        return samples[int(_WARM_UP * len(samples)) :]

    def _kilobytes_a_session(self, found: Growth) -> float:
        hours = (self.sessions[-1] - self.sessions[0]) / 3600
        return found.megabytes_an_hour * 1024 * hours / max(len(self.sessions) - 1, 1)

    async def _sample(self) -> None:
        while True:
            # It reads /proc of every process of the machine: not in the loop that plays.
            for name, size in (await asyncio.to_thread(held, self.running.pid)).items():
                self.samples.setdefault(name, []).append((time.monotonic(), size))
            await asyncio.sleep(_SAMPLE_SECONDS)

    async def _play_one(self, seed: int) -> None:
        async with open_quiz(
            self.running, players=self.players, think_seconds=0.7 * _BLOCK_SECONDS, seed=seed
        ) as quiz:
            await quiz.play(_BLOCKS, seconds=_BLOCK_SECONDS)
            await _end(quiz)
        self.answers += len(quiz.acknowledged)
        await _delete(self.running, quiz)


async def _end(quiz: Quiz) -> None:
    request = session_service_pb2.EndSessionRequest(request_id=uuid.uuid4().hex, session_id=quiz.session_id)
    await quiz.host.call(quiz.host.sessions.EndSession, request)


async def _delete(running: Running, quiz: Quiz) -> None:
    # The players have gone: who still watched would be told that there is no such session.
    host = Person.on(running.address, "host", quiz.host.token)
    request = session_service_pb2.DeleteSessionRequest(
        request_id=uuid.uuid4().hex, session_id=quiz.session_id
    )
    try:
        await host.call(host.sessions.DeleteSession, request)
    finally:
        await host.close()


async def soak(options: argparse.Namespace) -> Soak:
    """Run it on a stack of its own."""
    async with new_directory() as directory, muster_up(directory / "state", workers=2) as running:
        run = Soak(running, options.players, options.pause_seconds)
        await run.run(60 * options.minutes)
        return run


def main() -> int:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--players", type=int, default=50)
    parser.add_argument("--pause-seconds", type=float, default=1.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found = asyncio.run(soak(options))
    print(json.dumps(found.told()) if options.json else found.table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
