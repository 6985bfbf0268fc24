"""Plays the demo and keeps one moment of it as docs/demo.svg: `python docs/make_picture.py`.

Needs a running `muster up`; it plays on its state directory like `muster demo` does.
"""

import asyncio
import copy
import io
import os
import re
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from muster_kit.caller import OrganizationRole
from muster_stack.credentials import Credentials
from muster_stack.demo.__main__ import OUR_QUESTIONS
from muster_stack.demo.client_process import user_token
from muster_stack.demo.host import QuestionFile, Stage
from muster_stack.demo.play import Quiz, play
from muster_stack.demo.results import final_standings
from muster_stack.demo.screen import picture
from muster_stack.state import State, default_path
from rich.console import Console
from rich.text import Text

OUT = Path(__file__).parent / "demo.svg"
QUESTION = 9
WIDTH = 104


class Camera:
    """A screen that keeps the stage as it was when question QUESTION had just been revealed."""

    def __init__(self) -> None:
        self.console = Console(record=True, width=WIDTH, force_terminal=True, file=io.StringIO())
        self._done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, stage: Stage, *, players: int) -> None:
        """Keep the moment."""
        if stage.question_number == QUESTION and stage.revealed and not self._done:
            self._done = True
            self.console.print(Text("$ muster demo", style="bold"))
            self.console.print(picture(copy.copy(stage), players=players))


async def main() -> None:
    """Play and keep the picture."""
    state = State(Path(os.environ.get("MUSTER_STATE") or default_path()))
    running = state.running()
    if running is None:
        sys.exit("Start `muster up` first.")
    secrets = Credentials.read(state.root / "credentials.json")
    os.environ["MUSTER_USER_TOKEN_SECRET"] = secrets.user_token_secret
    camera = Camera()
    outcome = await play(
        Quiz(QuestionFile.read(OUR_QUESTIONS), players=30, blocks=10, pace=2.0, reveal_seconds=0.6, seed=1),
        address=running.address,
        host_token=user_token("host", organization="demo", role=OrganizationRole.EDITOR),
        player_tokens=lambda number: user_token(
            f"player-{number}", organization="demo", role=OrganizationRole.MEMBER
        ),
        screen=camera,
    )
    camera.console.print(final_standings(outcome.board[:5], list(outcome.analytics.participants)))
    svg = camera.console.export_svg(title="muster demo")
    # The reader's own monospaced font will do; a picture should fetch nothing.
    OUT.write_text(re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL), encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(main())
