"""Tables of questions: every kind, every fault."""

from datetime import timedelta
from pathlib import Path

import pytest
from muster_session.question_files import Question, QuestionFileError, QuestionFormat, parse
from muster_session.question_files.question import (
    Accepted,
    Blank,
    Categorize,
    Choice,
    Choices,
    FillIn,
    Link,
    Matching,
    Number,
    NumberRange,
    OpenText,
    Ordering,
    Part,
    Poll,
    TrueFalse,
)

_DOCUMENT = Path(__file__).parents[2] / "docs" / "question-files.md"
_HEADER = "kind,prompt,choice_1,choice_2,choice_3,answer,text,case_sensitive,unit,max_length\n"


def table(text: str) -> list[Question]:
    return parse(QuestionFormat.CSV, text)


def faults(text: str) -> list[str]:
    with pytest.raises(QuestionFileError) as caught:
        table(text)
    return [str(fault) for fault in caught.value.faults]


def _word(text: str) -> Blank:
    return Blank((Accepted(text),))


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ("single_choice,Q,a,b,c,2", Choices((Choice("a", 0), Choice("b", 1), Choice("c", 0)))),
        (
            "Multiple choice,Q,a,b,c,1|3",
            Choices((Choice("a", 0.5), Choice("b", 0), Choice("c", 0.5)), multiple=True),
        ),
        ("multiple_choice,Q,a,b,,2", Choices((Choice("a", 0), Choice("b", 1)), multiple=True)),
        ("true-false,Q,,,,TRUE", TrueFalse(True)),
        ("true_false,Q,,,,f", TrueFalse(False)),
        ("fill_in_blank,Q,,,,four|4", FillIn((Blank((Accepted("four"), Accepted("4"))),))),
        (r"fill_in_blank,Q,,,,a\|b", FillIn((_word("a|b"),))),
        ("fill_in_blank,Q,,,,Oslo,,true", FillIn((Blank((Accepted("Oslo"),), case_sensitive=True),))),
        (
            "fill_in_blank,Q,,,,,{{Oslo}} is in {{Norway|Norge}}.",
            FillIn(
                (_word("Oslo"), Blank((Accepted("Norway"), Accepted("Norge")))),
                ("", " is in ", "."),
            ),
        ),
        ("numeric,Q,,,,2.5:0.5|-2,,,km", Number((NumberRange(2, 3), NumberRange(-2, -2)), "km")),
        ("numeric,Q,,,,1..5", Number((NumberRange(1, 5),))),
        ("ordering,Q,a,b,c", Ordering(("a", "b", "c"))),
        ("matching,Q,a -> 1,b->2,-> 3", Matching((Link("a", "1"), Link("b", "2")), ("3",))),
        (
            "categorize,Q,a -> x,b -> x,-> y",
            Categorize((Link("a", "x"), Link("b", "x")), ("x", "y")),
        ),
        ("poll,Q,a,b", Poll(("a", "b"))),
        ("multiple_poll,Q,a,b", Poll(("a", "b"), multiple=True)),
        ("open_text,Q", OpenText()),
        ("open_text,Q,,,,,,,,80", OpenText(80)),
    ],
)
def test_a_row_of_each_kind(row: str, part: Part) -> None:
    (question,) = table(_HEADER + row)
    assert (question.prompt, question.part, question.line) == ("Q", part, 2)


def test_columns_of_all_kinds() -> None:
    (question,) = table(
        "Title,explanation,time limit seconds,PROMPT,kind,answer\nt,because,2.5,Q,true_false,true\n"
    )
    assert (question.title, question.explanation) == ("t", "because")
    assert question.time_limit == timedelta(seconds=2.5)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_any_usual_delimiter(delimiter: str) -> None:
    text = "kind|prompt|choice1|Choice 2|answer\n\nsingle_choice|Q|a|b|1\n".replace("|", delimiter)
    (question,) = table(text)
    assert question.part == Choices((Choice("a", 1), Choice("b", 0)))


def test_cells_over_several_lines_keep_the_count_of_lines() -> None:
    questions = table('\ufeffkind,prompt\r\nopen_text,"one\r\n""two"", three"\r\n,\r\nopen_text,Q\r\n')
    assert [(each.prompt, each.line) for each in questions] == [('one\n"two", three', 2), ("Q", 5)]


def test_the_documents_example_is_read() -> None:
    example = _DOCUMENT.read_text(encoding="utf-8").partition("```csv\n")[2].partition("```")[0]
    assert len(table(example)) == 9


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (",Q", "the kind is empty; known are "),
        ("quiz,Q", "'quiz' is no kind; known are single_choice, "),
        ("open_text,", "the question has no text"),
        ("single_choice,Q,a,b,,", "there is no right answer"),
        ("single_choice,Q,a,b,,3", "the answer '3' is not the number of a choice"),
        ("single_choice,Q,a,b,,b", "the answer 'b' is not the number of a choice"),
        ("single_choice,Q,a,b,,1|2", "there are several right choices; the kind for that is multiple_choice"),
        ("single_choice,Q,a,,,1", "too few choices: 1 of at least 2"),
        ("single_choice,Q,a,,c,1", "choice_2 is empty, but not the choices after it"),
        ("true_false,Q,,,,maybe", "the answer 'maybe' is neither true nor false"),
        ("true_false,Q,,,,", "the answer '' is neither true nor false"),
        ("true_false,Q,a,,,true", "'a' stands in 'choice_1', which true_false does not use"),
        ("poll,Q,a,b,,1", "'1' stands in 'answer', which poll does not use"),
        ("fill_in_blank,Q", "there is no right answer"),
        ("fill_in_blank,Q,,,,,{{}} x", "there is no right answer"),
        ("fill_in_blank,Q,,,,,{{a", "a '{{' in 'text' has no '}}'"),
        ("fill_in_blank,Q,,,,,none", "too few blanks: 0 of at least 1"),
        (
            "fill_in_blank,Q,,,,a,{{a}}",
            "the accepted words stand in the {{…}} of 'text'; 'answer' must be empty",
        ),
        ("fill_in_blank,Q,,,,a,,maybe", "'case_sensitive' is neither true nor false"),
        ("numeric,Q,,,,", "there is no right answer"),
        ("numeric,Q,,,,four", "'four' is not a number"),
        (f"numeric,Q,,,,4,,,{'m' * 33}", "the unit is longer than 32 characters"),
        ("ordering,Q,a,a", "'a' stands there twice"),
        ("ordering,Q,a", "too few items: 1 of at least 2"),
        ("matching,Q,a -> 1,b", "choice_2 is not of the form 'item -> what it belongs to'"),
        ("categorize,Q,a -> 1,b -> 1", "too few categories: 1 of at least 2"),
        ("open_text,Q,,,,,,,,many", "'max_length' is 'many', not a whole number"),
        ("open_text,Q,,,,,,,,0", "the longest free text is not from 1 to 5000 characters"),
        ("open_text,Q,,,,,,,,,more", "the row has more cells than the header"),
    ],
)
def test_a_faulty_row_is_told_with_its_line(row: str, fault: str) -> None:
    (found,) = faults(f"{_HEADER}open_text,Q\n\n{row}\nopen_text,Q")
    assert found.startswith(f"line 4: {fault}")


@pytest.mark.parametrize("seconds", ["0", "0.5", "86401", "-1", "1e30", "1e999"])
def test_a_time_limit_out_of_bounds_is_a_fault(seconds: str) -> None:
    assert faults(f"kind,prompt,time_limit_seconds\nopen_text,Q,{seconds}") == [
        "line 2: the time limit is not from 1 to 86400 seconds"
    ]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("prompt", ["the column 'kind' is missing"]),
        ("kind,prompt,points", ["there is no column 'points'"]),
        ("kind,prompt,choice_0", ["there is no column 'choice_0'"]),
        ("kind,prompt,Choice 1,choice_1", ["the column 'choice_1' stands there twice"]),
        ("What is this?", ["the column 'kind' is missing", "the column 'prompt' is missing", "there is no"]),
    ],
)
def test_a_faulty_header_is_told(header: str, expected: list[str]) -> None:
    found = faults(f"{header}\nx\ny")
    assert len(found) == len(expected)
    assert all(each.startswith(f"line 1: {want}") for each, want in zip(found, expected, strict=True))


def test_a_cell_in_a_column_without_a_name_is_a_fault() -> None:
    assert faults("kind,,prompt\nopen_text,oh,Q") == ["line 2: 'oh' stands in a column without a name"]


def test_an_open_quote_ends_the_table_with_the_line_it_is_in() -> None:
    assert faults('kind,prompt\nopen_text,Q\nopen_text,"Q\n\nopen_text,Q') == [
        "line 3: from here on the table cannot be read: a quote is not closed, or a cell is too long"
    ]


def test_all_faults_of_a_table_are_told() -> None:
    found = faults("kind,prompt,answer\nquiz,Q,\ntrue_false,Q,no\nopen_text,,\n")
    assert [each.split(":")[0] for each in found] == ["line 2", "line 3", "line 4"]


def test_a_table_without_rows_has_no_question() -> None:
    assert faults("kind,prompt\n") == ["line 1: there is no question in the file"]
