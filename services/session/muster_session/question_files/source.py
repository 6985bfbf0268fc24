"""From the bytes of a question file to lines that every reader can count."""

import re
from typing import Final

from muster_session.question_files.errors import Fault, QuestionFileError

_BYTE_ORDER_MARK: Final = "\ufeff"
# Stores refuse NUL; surrogates are no characters, and the GIFT reader hides escaped characters in them.
_UNREADABLE: Final = re.compile("[\0\ud800-\udfff]")


def decode(content: bytes) -> str:
    """The text of a file in UTF-8; raises QuestionFileError with the first line that is not."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = 1 + content.count(b"\n", 0, error.start)
        raise QuestionFileError([Fault(line, "the file is not UTF-8")]) from error


def normalize(text: str) -> str:
    """`text` without a byte order mark, and with line feeds alone as line ends.

    Raises QuestionFileError when it has characters that no question can hold.
    """
    lines = text.removeprefix(_BYTE_ORDER_MARK).replace("\r\n", "\n").replace("\r", "\n")
    unreadable = _UNREADABLE.search(lines)
    if unreadable:
        line = 1 + lines.count("\n", 0, unreadable.start())
        raise QuestionFileError([Fault(line, "there is a character that is no text")])
    return lines
