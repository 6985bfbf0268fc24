"""Cuts a GIFT file into paragraphs and passages that know their lines."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_ESCAPE: Final = re.compile(r"\\([\\~=#{}:n])")
# An escaped character hides as a lone surrogate while marks are looked for. No text read from UTF-8
# has one, so nothing of the author's can be taken for it.
_HIDING: Final = 0xDC00
_HIDDEN: Final = {
    letter: chr(_HIDING + ord(meant))
    for letter, meant in [*((sign, sign) for sign in r"\~=#{}:"), ("n", "\n")]
}
_REVEALED: Final = {ord(hidden): chr(ord(hidden) - _HIDING) for hidden in _HIDDEN.values()}

_FORMAT_MARK: Final = re.compile(r"\s*\[(?:html|markdown|moodle|plain)\]", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Passage:
    """A stretch of the file: its text, with escaped characters hidden, and the line it starts on."""

    marked: str
    line: int

    def __bool__(self) -> bool:
        return bool(self.marked) and not self.marked.isspace()

    @property
    def line_after(self) -> int:
        """The line on which it ends: that of the mark it was parted at."""
        return self.line + self.marked.count("\n")

    def cut(self, start: int, end: int | None = None) -> "Passage":
        """The stretch between two offsets."""
        return Passage(self.marked[start:end], self.line + self.marked.count("\n", 0, start))

    def strip(self) -> "Passage":
        """The same without white space around it."""
        if not self:
            return Passage("", self.line)
        return self.cut(len(self.marked) - len(self.marked.lstrip()), len(self.marked.rstrip()))

    def partition(self, mark: str) -> tuple["Passage", "Passage"]:
        """What stands before and after the first `mark`; without one the second is empty."""
        start = self.marked.find(mark)
        end = len(self.marked)
        return (self, self.cut(end)) if start < 0 else (self.cut(0, start), self.cut(start + len(mark)))

    def rpartition(self, mark: str) -> tuple["Passage", "Passage"]:
        """What stands before and after the last `mark`; without one the second is empty."""
        start = self.marked.rfind(mark)
        end = len(self.marked)
        return (self, self.cut(end)) if start < 0 else (self.cut(0, start), self.cut(start + len(mark)))

    def split(self, marks: str) -> Iterator[tuple[str, "Passage"]]:
        """Each of the characters in `marks` with what follows it; first "" with what precedes all."""
        mark, start, line = "", 0, self.line
        for found in re.finditer(f"[{re.escape(marks)}]", self.marked):
            yield mark, Passage(self.marked[start : found.start()], line)
            line += self.marked.count("\n", start, found.end())
            mark, start = found[0], found.end()
        yield mark, Passage(self.marked[start:], line)

    def reveal(self) -> str:
        """The text as its author means it: without format mark, escapes and white space around it."""
        mark = _FORMAT_MARK.match(self.marked)
        text = self.marked[mark.end() :] if mark else self.marked
        return text.translate(_REVEALED).strip()


def paragraphs(text: str) -> Iterator[Passage]:
    """The paragraphs that may be questions; comments are blanked and category lines left out.

    Blank lines part paragraphs. Inside an answer block they do not, unless the block is never
    closed: then the fault stays with the question that has it.
    """
    hidden = _ESCAPE.sub(lambda escape: _HIDDEN[escape[1]], text)
    lines = hidden.split("\n")
    comments = _blank_comments(lines)
    next_brace = _next_braces(lines)
    start, is_open = -1, False
    for number, line in enumerate(lines):
        stripped = line.strip()
        is_open = is_open and next_brace[number] == "}"
        is_gap = not stripped and number not in comments
        if not is_open and (is_gap or stripped.startswith("$CATEGORY:")):
            if start >= 0:
                yield _paragraph(lines, start, number)
            start = -1
        elif stripped:
            start = number if start < 0 else start
            is_open = _is_open_after(stripped, is_open)
    if start >= 0:
        yield _paragraph(lines, start, len(lines))


def _blank_comments(lines: list[str]) -> set[int]:
    """Empties the comment lines and returns their indices: they part no paragraphs."""
    comments = {index for index, line in enumerate(lines) if line.lstrip().startswith("//")}
    for index in comments:
        lines[index] = ""
    return comments


def _next_braces(lines: Sequence[str]) -> list[str]:
    """For each line the first brace on it or after it, "" when there is none."""
    following = ""
    found: list[str] = []
    for line in reversed(lines):
        opening, closing = line.find("{"), line.find("}")
        if opening >= 0 or closing >= 0:
            following = "{" if closing < 0 or 0 <= opening < closing else "}"
        found.append(following)
    found.reverse()
    return found


def _is_open_after(line: str, was_open: bool) -> bool:
    opening, closing = line.rfind("{"), line.rfind("}")
    return was_open if opening == closing else opening > closing


def _paragraph(lines: Sequence[str], start: int, end: int) -> Passage:
    return Passage("\n".join(lines[start:end]), start + 1).strip()
