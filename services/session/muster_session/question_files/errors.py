"""What is wrong with a question file, line by line."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from muster_kit.errors import MusterError, Reason, Violation

_MOST_VIOLATIONS: Final = 30
"""Error details travel in HTTP/2 trailers, of which peers take some kilobytes and no more."""

_MOST_FAULTS: Final = 1000
"""A file with more is no question file at all, and need not be read to its end."""

_LONGEST_QUOTE: Final = 30


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """Something to mend before the file can be imported; `line` counts from 1."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class QuestionFileError(MusterError):
    """The file has faults, and none of it may be imported.

    `faults` has them in order of lines. The caller is sent the first ones, each as a violation
    of the field `content`, and how many more there are.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(sorted(faults))
        sent = [Violation("content", str(fault)) for fault in self.faults[:_MOST_VIOLATIONS]]
        unsent = len(self.faults) - len(sent)
        if unsent:
            sent.append(Violation("content", f"{unsent} more faults"))
        super().__init__(Reason.QUESTION_FILE_FAULTY, violations=sent)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class FaultLog:
    """Collects the faults of one file, so that its author sees them all at once."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def __len__(self) -> int:
        return len(self._faults)

    def add(self, line: int, message: str) -> None:
        """Keep a fault; the thousandth ends the reading with QuestionFileError."""
        self._faults.append(Fault(line, message))
        if len(self._faults) == _MOST_FAULTS:
            self.raise_if_any()

    def raise_if_any(self) -> None:
        """Raise QuestionFileError with all faults, when there is one."""
        if self._faults:
            raise QuestionFileError(self._faults)


def quote(text: str) -> str:
    """`text` as a message quotes it: on one line, and short."""
    flat = " ".join(text.split())
    return f"'{flat}'" if len(flat) <= _LONGEST_QUOTE else f"'{flat[: _LONGEST_QUOTE - 1]}…'"
