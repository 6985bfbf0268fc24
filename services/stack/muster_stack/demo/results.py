"""The tables at the end of the demo: who won, and what became of every question."""

from typing import Any

from muster.scoring.v1 import round_pb2
from muster.session.v1 import block_pb2
from rich import box
from rich.table import Table

from muster_stack.demo.screen import MEDALS


def final_standings(entries: list[Any], participants: list[Any]) -> Table:
    """The podium and those behind it."""
    stats = {each.participant_id: each for each in participants}
    table = Table(title="Final standings", box=box.ROUNDED, title_style="bold")
    for name, justify in (
        ("", "right"),
        ("player", "left"),
        ("score", "right"),
        ("right", "right"),
        ("mean time", "right"),
    ):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]  # rich's Literal is lost in the loop
    for entry in entries:
        known = stats.get(entry.entry_id)
        right = f"{known.correct_count}/{known.response_count}" if known else ""
        mean = known.mean_response_duration.ToTimedelta().total_seconds() if known else 0.0
        table.add_row(
            MEDALS.get(entry.rank, str(entry.rank)),
            entry.display_name,
            f"{entry.score:,}",
            right,
            f"{mean:.1f} s",
        )
    return table


def question_analytics(questions: list[block_pb2.Block], rounds: list[round_pb2.RoundStats]) -> Table:
    """What became of every question."""
    table = Table(title="Questions", box=box.ROUNDED, title_style="bold", expand=True)
    table.add_column("", justify="right", min_width=2)
    table.add_column("question", ratio=1, no_wrap=True, overflow="ellipsis")
    for name in ("answers", "right", "partly", "wrong", "accuracy", "mean"):
        table.add_column(name, justify="right", no_wrap=True, min_width=len(name))
    prompts = {block.block_id: " ".join(block.content.prompt.split()) for block in questions}
    for number, stats in enumerate(rounds, start=1):
        mean = stats.mean_response_duration.ToTimedelta().total_seconds()
        table.add_row(
            str(number),
            prompts.get(stats.block_id, ""),
            str(stats.response_count),
            str(stats.correct_count),
            str(stats.partial_count),
            str(stats.incorrect_count),
            f"{stats.accuracy:.0%}",
            f"{mean:.1f} s",
        )
    return table
