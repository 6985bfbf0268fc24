"""Question files: GIFT, Aiken and CSV, read into questions and made into blocks."""

from muster_session.question_files.errors import Fault, QuestionFileError
from muster_session.question_files.formats import QuestionFormat, guess_format, parse
from muster_session.question_files.question import Question
from muster_session.question_files.source import decode
from muster_session.question_files.to_blocks import to_block, to_blocks

__all__ = [
    "Fault",
    "Question",
    "QuestionFileError",
    "QuestionFormat",
    "decode",
    "guess_format",
    "parse",
    "to_block",
    "to_blocks",
]
