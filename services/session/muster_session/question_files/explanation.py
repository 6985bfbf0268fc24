"""What is shown with the right answer: the general explanation and the feedback to single answers."""

from collections.abc import Iterator

from muster_session.question_files.question import (
    Choices,
    FillIn,
    Number,
    NumberRange,
    Part,
    Question,
    TrueFalse,
)


def explain(question: Question) -> str:
    """The explanation of a block, in Markdown; empty when the file has none."""
    feedback = "\n".join(_feedback(question.part))
    return "\n\n".join(text for text in (question.explanation, feedback) if text)


def _feedback(part: Part) -> Iterator[str]:
    match part:
        case TrueFalse(right_feedback=right, wrong_feedback=wrong):
            yield from filter(None, (right, wrong))
        case Choices(choices):
            yield from (_item(each.text, each.feedback) for each in choices if each.feedback)
        case FillIn(blanks):
            accepted = (each for blank in blanks for each in blank.accepted)
            yield from (_item(each.text, each.feedback) for each in accepted if each.feedback)
        case Number(ranges):
            yield from (_item(_span(each), each.feedback) for each in ranges if each.feedback)
        case _:
            return


def _item(answer: str, feedback: str) -> str:
    return f"- {answer}: {feedback}"


def _span(numbers: NumberRange) -> str:
    low, high = f"{numbers.minimum:.15g}", f"{numbers.maximum:.15g}"
    return low if low == high else f"{low} – {high}"
