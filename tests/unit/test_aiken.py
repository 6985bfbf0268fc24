"""Aiken files, as Moodle documents them, and fault by fault."""

import pytest
from muster_session.question_files import Question, QuestionFileError, QuestionFormat, parse
from muster_session.question_files.question import Choice, Choices


def aiken(text: str) -> list[Question]:
    return parse(QuestionFormat.AIKEN, text)


def faults(text: str) -> list[str]:
    with pytest.raises(QuestionFileError) as caught:
        aiken(text)
    return [str(fault) for fault in caught.value.faults]


def test_letters_with_a_period_or_a_bracket() -> None:
    questions = aiken(
        "What is wettest?\nA. Fire\nB. Water\nANSWER: B\n\n"
        "What is hottest?\nA) Fire\nB) Water\nC) Air\nANSWER: A\n"
    )
    assert [(each.prompt, each.line, each.title) for each in questions] == [
        ("What is wettest?", 1, ""),
        ("What is hottest?", 6, ""),
    ]
    assert questions[0].part == Choices((Choice("Fire", 0), Choice("Water", 1)))
    assert questions[1].part == Choices((Choice("Fire", 1), Choice("Water", 0), Choice("Air", 0)))


def test_questions_need_no_blank_line_between_them() -> None:
    text = "Q?\nA. a\nB. b\nANSWER: A\n" * 3
    assert [each.line for each in aiken(text)] == [1, 5, 9]


def test_blank_lines_and_white_space_mean_nothing() -> None:
    (question,) = aiken("\ufeff\r\n  Q? \r\n\r\n\tA)  a \r\nB.b\r\n\r\nAnswer : b\r\n")
    assert question.part == Choices((Choice("a", 0), Choice("b", 1)))


def test_lower_case_letters_count_where_they_are_due() -> None:
    (question,) = aiken("Q?\na) one\nb) two\nANSWER: b")
    assert question.part == Choices((Choice("one", 0), Choice("two", 1)))


def test_a_question_may_begin_with_an_abbreviation() -> None:
    (question,) = aiken("A.M. is which half of the day?\nA. The first\nB. The second\nANSWER: A")
    assert question.prompt == "A.M. is which half of the day?"


def test_twenty_six_choices() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    (question,) = aiken("Q?\n" + "".join(f"{letter}. {letter}\n" for letter in letters) + "ANSWER: Z")
    assert isinstance(question.part, Choices)
    assert [each.text for each in question.part.choices if each.credit] == ["Z"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Q?\nA. a\nB. b\n", ["line 1: the question has no ANSWER line"]),
        ("Q?\nA. a\nB. b\n\nR?\nA. a\nB. b\nANSWER: A", ["line 1: the question has no ANSWER line"]),
        (
            "Q,\nmore of it?\nA. a\nB. b\nANSWER: A",
            ["line 1: the question must stand on one line, with its choices after it"],
        ),
        ("Q?", ["line 1: the question must stand on one line, with its choices after it"]),
        ("Q?\nA. a\nC. b\nD. c\nANSWER: C", ["line 3: choice B must come here, not C"]),
        ("Q?\nA. a\n\nB.\nANSWER: A", ["line 4: choice B has no text"]),
        ("\nA. a\nB. b\nANSWER: A", ["line 2: choice A has no question before it"]),
        ("ANSWER: A", ["line 1: there is an ANSWER line without a question"]),
        ("Q?\nA. a\nB. b\nANSWER: C", ["line 4: the answer 'C' is none of the choices' letters"]),
        ("Q?\nA. a\nB. b\nANSWER: A, B", ["line 4: the answer 'A, B' is none of the choices' letters"]),
        ("Q?\nA. a\nB. b\nANSWER:", ["line 4: the answer '' is none of the choices' letters"]),
        ("Q?\nA. a\nANSWER: A", ["line 1: too few choices: 1 of at least 2"]),
        ("\n \n", ["line 1: there is no question in the file"]),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, expected: list[str]) -> None:
    assert faults(text) == expected


def test_a_twenty_seventh_choice_is_a_fault() -> None:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZA"
    text = "Q?\n" + "".join(f"{letter}. x\n" for letter in letters) + "ANSWER: Z"
    assert faults(text) == ["line 28: choice Z must be the last, not A"]


def test_all_faults_of_a_file_are_told() -> None:
    found = faults("Q?\nA. a\nX. b\nANSWER: A\nR?\nA. a\nB. b\nANSWER: D\nS?\nT?\nA. a\nB. b\nANSWER: A\n")
    assert [fault.split(":")[0] for fault in found] == ["line 3", "line 8", "line 9"]
