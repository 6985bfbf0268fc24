"""Shows the demo: a live picture where a terminal is, plain lines elsewhere."""

from types import TracebackType
from typing import Any, Protocol, Self

from muster.scoring.v1 import answer_pb2
from rich import box
from rich.align import Align
from rich.bar import Bar
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from muster_stack.demo.host import Stage

MEDALS = {1: "🥇", 2: "🥈", 3: "🥉"}
_SHOWN_CHOICES = 8


class Screen(Protocol):
    """Something the stage can be shown on."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def show(self, stage: Stage, *, players: int) -> None:
        """Show what is to be seen now."""
        ...


class LiveScreen:
    """A picture that moves, for terminals."""

    def __init__(self, console: Console) -> None:
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, stage: Stage, *, players: int) -> None:
        """Draw the picture anew."""
        self._live.update(picture(stage, players=players), refresh=True)


class LineScreen:
    """A line for each thing that happened, for files and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lobby_told = False
        self._question = 0
        self._revealed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, stage: Stage, *, players: int) -> None:
        """Print what is new."""
        if not self._lobby_told and stage.participant_count >= players:
            self._lobby_told = True
            self._print(f"{stage.participant_count} players joined with code {stage.join_code}")
        if stage.question is not None and stage.question_number != self._question:
            self._question = stage.question_number
            prompt = " ".join(stage.question.content.prompt.split())
            self._print(f"question {stage.question_number}/{stage.question_count}: {prompt}")
        if stage.revealed and self._revealed != stage.question_number:
            self._revealed = stage.question_number
            first = f"; first: {stage.board[0].display_name} {stage.board[0].score}" if stage.board else ""
            self._print(f"  answer: {right_answer(stage)}; {stage.response_count}/{players} answered{first}")

    def _print(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)


def picture(stage: Stage, *, players: int) -> RenderableType:
    """The whole picture: title line, question with its answers, leaderboard."""
    columns = Table.grid(expand=True, padding=(0, 1))
    columns.add_column(ratio=3)
    columns.add_column(ratio=2)
    columns.add_row(_question(stage, players), _board(stage))
    return Group(_title(stage, players), columns)


def _title(stage: Stage, players: int) -> RenderableType:
    line = Text.assemble(
        (f" {stage.title} ", "bold white on blue"),
        ("   code ", "dim"),
        (stage.join_code, "bold yellow"),
        ("   players ", "dim"),
        (f"{stage.participant_count}/{players}", "bold green"),
    )
    return Panel(line, box=box.ROUNDED, border_style="blue")


def _question(stage: Stage, players: int) -> RenderableType:
    if stage.question is None:
        waiting = Align.center(Text("Waiting for players to join…", style="italic dim"), vertical="middle")
        return Panel(waiting, title="Lobby", height=16, border_style="cyan")
    open_now = stage.answer_key is None
    progress = Table.grid(padding=(0, 1), expand=True)
    progress.add_column(ratio=1)
    progress.add_column(justify="right")
    progress.add_row(
        Bar(max(players, 1), 0, min(stage.response_count, players), color="green" if open_now else "blue"),
        f"{stage.response_count}/{players} answered",
    )
    body = Group(
        Text(stage.question.content.prompt.strip(), style="bold"), Text(), _answers(stage), Text(), progress
    )
    return Panel(
        body,
        title=f"Question {stage.question_number} of {stage.question_count}",
        subtitle="open for answers" if open_now else f"answer: {right_answer(stage)}",
        border_style="green" if open_now else "blue",
        height=16,
    )


def _answers(stage: Stage) -> RenderableType:
    counts = {each.answer: each.count for each in stage.stats.distribution} if stage.stats else {}
    key = stage.answer_key
    total = max(stage.response_count, 1)
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(width=2)
    table.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
    table.add_column(ratio=2)
    table.add_column(justify="right", width=4)
    for token, label in shown_answers(stage)[:_SHOWN_CHOICES]:
        right = key is not None and is_right(token, key)
        mark = Text("✔", style="bold green") if right else Text("•", style="dim")
        if key is None:
            table.add_row(mark, label, "", "")
        else:
            count = counts.get(token, 0)
            style = "green" if right else "red"
            table.add_row(mark, label, Bar(total, 0, count, color=style), str(count))
    return table


def shown_answers(stage: Stage) -> list[tuple[str, str]]:
    """(token of the distribution, label) of what can be answered; empty where words are written."""
    question = stage.question
    if question is None:
        return []
    match question.content.WhichOneof("kind"):
        case "multiple_choice":
            return [(item.item_id, item.text) for item in question.content.multiple_choice.choices]
        case "poll":
            return [(item.item_id, item.text) for item in question.content.poll.choices]
        case "true_false":
            return [("true", "True"), ("false", "False")]
        case _:
            distribution = stage.stats.distribution if stage.stats and stage.answer_key is not None else []
            return [(each.answer, each.answer) for each in distribution]


def is_right(token: str, key: answer_pb2.AnswerKey) -> bool:
    """Whether an answer of the distribution is right."""
    if key.HasField("number"):
        return any(each.minimum <= float(token) <= each.maximum for each in key.number.ranges)
    return token in right_tokens(key)


def right_tokens(key: answer_pb2.AnswerKey) -> set[str]:
    """The tokens of the distribution that are right, for kinds where single tokens are."""
    match key.WhichOneof("kind"):
        case "choices":
            return {choice.choice_id for choice in key.choices.choices if choice.credit > 0}
        case "true_false":
            return {"true" if key.true_false.value else "false"}
        case "pairs":
            return {f"{pair.left_id}={pair.right_id}" for pair in key.pairs.pairs}
        case "categories":
            return {f"{each.item_id}={each.category_id}" for each in key.categories.placements}
        case "order":
            return {",".join(key.order.item_ids)}
        case "blanks":
            return {
                f"{blank.blank_id}={text.text.casefold()}"
                for blank in key.blanks.blanks
                for text in blank.accepted
            }
        case _:
            return set()


def right_answer(stage: Stage) -> str:
    """The right answer in words."""
    key, question = stage.answer_key, stage.question
    if key is None or question is None:
        return ""
    match key.WhichOneof("kind"):
        case "choices":
            right = right_tokens(key)
            return ", ".join(label for token, label in shown_answers(stage) if token in right)
        case "true_false":
            return "true" if key.true_false.value else "false"
        case "blanks":
            return ", ".join(blank.accepted[0].text for blank in key.blanks.blanks)
        case "number":
            first = key.number.ranges[0]
            same = first.minimum == first.maximum
            return f"{first.minimum:g}" if same else f"{first.minimum:g} to {first.maximum:g}"
        case "pairs":
            matching = question.content.matching
            lefts, rights = _texts(matching.left), _texts(matching.right)
            return ", ".join(f"{lefts[pair.left_id]} → {rights[pair.right_id]}" for pair in key.pairs.pairs)
        case "order":
            texts = _texts(question.content.ordering.items)
            return " → ".join(texts[item] for item in key.order.item_ids)
        case "categories":
            swipe = question.content.swipe_categorize
            items, categories = _texts(swipe.items), _texts(swipe.categories)
            return ", ".join(
                f"{items[each.item_id]} → {categories[each.category_id]}"
                for each in key.categories.placements
            )
        case _:
            return "nothing is right or wrong here"


def _texts(items: Any) -> dict[str, str]:
    return {item.item_id: item.text for item in items}


def _board(stage: Stage) -> RenderableType:
    table = Table(box=None, expand=True, show_header=False, padding=(0, 1))
    table.add_column(justify="right", width=3)
    table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
    table.add_column(justify="right")
    table.add_column(width=5)
    for entry in stage.board:
        table.add_row(
            MEDALS.get(entry.rank, str(entry.rank)),
            entry.display_name,
            Text(f"{entry.score:,}", style="bold"),
            _movement(stage.last_ranks.get(entry.entry_id, 0), entry.rank),
        )
    return Panel(table, title="Leaderboard", border_style="magenta", height=16)


def _movement(before: int, now: int) -> Text:
    if before == 0:
        return Text("new", style="dim")
    if before == now:
        return Text("")
    return (
        Text(f"▲ {before - now}", style="green") if now < before else Text(f"▼ {now - before}", style="red")
    )
