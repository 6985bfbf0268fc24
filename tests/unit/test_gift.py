"""GIFT files, form by form as Moodle documents them, and fault by fault."""

from collections import Counter
from pathlib import Path

import pytest
from muster_session.question_files import Question, QuestionFileError, QuestionFormat, parse
from muster_session.question_files.question import (
    Accepted,
    Blank,
    Choice,
    Choices,
    FillIn,
    Link,
    Matching,
    Number,
    NumberRange,
    OpenText,
    TrueFalse,
)

_REPOSITORY = Path(__file__).parents[2]
_SHARED = _REPOSITORY.parent / "shared" / "data"
_DEMO = _REPOSITORY / "services" / "stack" / "muster_stack" / "questions" / "demo.gift"


def gift(text: str) -> list[Question]:
    return parse(QuestionFormat.GIFT, text)


def only(text: str) -> Question:
    (question,) = gift(text)
    return question


def faults(text: str) -> list[str]:
    with pytest.raises(QuestionFileError) as caught:
        gift(text)
    return [str(fault) for fault in caught.value.faults]


def test_one_of_several_choices() -> None:
    question = only("Where do penguins live?{~The Arctic =The Antarctic ~Greenland}")
    assert question.prompt == "Where do penguins live?"
    assert question.part == Choices(
        (Choice("The Arctic", 0), Choice("The Antarctic", 1), Choice("Greenland", 0))
    )


def test_choices_on_lines_of_their_own_with_feedback() -> None:
    part = only("What?{\n\t~red#no,\n\t  not red\n\t=green # yes\n\t~blue\n}").part
    assert part == Choices(
        (Choice("red", 0, "no,\n\t  not red"), Choice("green", 1, "yes"), Choice("blue", 0))
    )


def test_a_partly_right_choice_beside_the_right_one() -> None:
    part = only("Q{~wrong ~%50%half =full}").part
    assert part == Choices((Choice("wrong", 0), Choice("half", 0.5), Choice("full", 1)))


def test_weights_without_a_wholly_right_answer_allow_several() -> None:
    part = only("Q{~%-100%a ~%50%b ~%50%c ~%-25.5%d}").part
    assert part == Choices(
        (Choice("a", -1), Choice("b", 0.5), Choice("c", 0.5), Choice("d", -0.255)), multiple=True
    )


def test_thirds_add_up_to_the_whole() -> None:
    part = only("Q{~%33%a ~%33%b ~%33%c ~d}").part
    assert isinstance(part, Choices)
    assert part.multiple


def test_equals_signs_with_weights_allow_several_too() -> None:
    part = only("Q{=%50%a =%50%b ~c}").part
    assert part == Choices((Choice("a", 0.5), Choice("b", 0.5), Choice("c", 0)), multiple=True)


@pytest.mark.parametrize("written", ["T", "TRUE", "True", " t "])
def test_true(written: str) -> None:
    assert only(f"Snow is cold.{{{written}}}").part == TrueFalse(True)


@pytest.mark.parametrize("written", ["F", "FALSE", "false"])
def test_false(written: str) -> None:
    assert only(f"Snow is hot.{{{written}}}").part == TrueFalse(False)


def test_true_false_feedback_is_for_wrong_then_for_right() -> None:
    question = only("Q{FALSE#wrong, sorry#right, well done####in general}")
    assert question.part == TrueFalse(False, "right, well done", "wrong, sorry")
    assert question.explanation == "in general"


def test_short_answer() -> None:
    part = only("Two and two?{=four =4 =%50%about four#Nearly. =%0%*#No.}").part
    assert part == FillIn((Blank((Accepted("four"), Accepted("4"), Accepted("about four", 0.5, "Nearly."))),))


def test_missing_word() -> None:
    question = only("Two plus {=two =2} equals four.")
    assert question.prompt == "Two plus _____ equals four."
    assert question.part == FillIn((Blank((Accepted("two"), Accepted("2"))),))
    assert only("{=Asia ~Africa} is the largest.").prompt == "_____ is the largest."
    assert only("Is it {T}?").prompt == "Is it _____?"


def test_matching_with_a_spare_item() -> None:
    part = only("Match.{\n=France -> Paris\n=Italy->Rome\n = -> Oslo }").part
    assert part == Matching((Link("France", "Paris"), Link("Italy", "Rome")), ("Oslo",))


@pytest.mark.parametrize(
    ("written", "minimum", "maximum"),
    [
        ("#1822", 1822, 1822),
        ("#1822:5", 1817, 1827),
        ("# 1 .. 5 ", 1, 5),
        ("#-5..-1", -5, -1),
        ("#3.1415:0.0005", 3.141, 3.142),
        ("#.5", 0.5, 0.5),
        ("#=6.02e23", 6.02e23, 6.02e23),
    ],
)
def test_numbers(written: str, minimum: float, maximum: float) -> None:
    assert only(f"Q{{{written}}}").part == Number((NumberRange(minimum, maximum),))


def test_several_numbers_with_credit_and_feedback() -> None:
    part = only("Q{#\n=3:0 #exact\n=%50%3:2#near\n=%0%100 ~#far off}").part
    assert part == Number((NumberRange(3, 3, 1, "exact"), NumberRange(1, 5, 0.5, "near")))


def test_empty_braces_ask_for_free_text() -> None:
    assert only("How are you?{}").part == OpenText()
    question = only("How are you?{\n####We hope well.\n}")
    assert (question.part, question.explanation) == (OpenText(), "We hope well.")


def test_a_title_is_set_between_double_colons() -> None:
    question = only("::On  the\nroof\\: a title::Which?{T}")
    assert (question.title, question.prompt) == ("On the roof: a title", "Which?")


def test_format_marks_are_taken_off() -> None:
    question = only(
        "::t::[html]Is <b>this</b> so? {=[plain]a#[markdown]*why* ~[moodle]b ~[sic] c ####[html]<i>x</i>}"
    )
    assert question.prompt == "Is <b>this</b> so?"
    assert question.part == Choices((Choice("a", 1, "*why*"), Choice("b", 0), Choice("[sic] c", 0)))
    assert question.explanation == "<i>x</i>"


def test_escaped_signs_stand_for_themselves() -> None:
    question = only(r"Is 1 \= 1, \{really\}?\nSo \\neq and \frac\: {=\~\=\#\{\}\:\\ ~a\nb ~c\d}")
    assert question.prompt == "Is 1 = 1, {really}?\nSo \\neq and \\frac:"
    assert question.part == Choices((Choice("~=#{}:\\", 1), Choice("a\nb", 0), Choice("c\\d", 0)))


def test_an_escaped_backslash_escapes_nothing() -> None:
    assert only("Q {=a\\\\=b}").part == FillIn((Blank((Accepted("a\\"), Accepted("b"))),))


def test_an_escaped_star_is_no_wildcard() -> None:
    assert only(r"Q {=5 \* 3}").part == FillIn((Blank((Accepted("5 * 3"),)),))


def test_comments_and_categories_are_no_questions() -> None:
    questions = gift(
        "// a file\n$CATEGORY: a/b\nFirst?{T}\n\n   // ::between::\n\n$CATEGORY: c\n\n"
        "Second\n// inside {\n?{\n//in\nF}\n"
    )
    assert [(each.prompt, each.line) for each in questions] == [("First?", 3), ("Second\n\n?", 9)]


def test_blank_lines_may_stand_inside_braces() -> None:
    (first, second) = gift("One?{\n\n=a\n \n~b\n\n}\n\nTwo?{T}")
    assert first.part == Choices((Choice("a", 1), Choice("b", 0)))
    assert second.line == 9


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_any_system_and_a_byte_order_mark(end: str) -> None:
    questions = gift("\ufeff" + end.join(["::a::One?{T}", "", "Two", "lines?{", "=x", "~y}", ""]))
    assert [(each.prompt, each.line) for each in questions] == [("One?", 1), ("Two\nlines?", 3)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A?{T}\n\nB?{\n=a\n~b\n\nC?{F}", ["line 3: the answer block is not closed"]),
        ("A?{=a", ["line 1: the answer block is not closed"]),
        ("A?\n{=a {b} }", ["line 2: there is a '{' inside an answer block; close the block, or write \\{"]),
        ("A?{T}\nB?{F}", ["line 2: there is a second answer block; part questions by a blank line"]),
        ("A?\n}\n{T}", ["line 2: there is a '}' without a '{'; write \\} for the sign itself"]),
        ("A?{T}\n}", ["line 2: there is a '}' without a '{'; write \\} for the sign itself"]),
        (
            "\nRead this.\n\nA?{T}",
            ["line 2: there is no answer block; write {} for free text, or // before what is no question"],
        ),
        ("::A?{T}", ["line 1: the title is not closed with '::'"]),
        ("::A::\n{T}", ["line 1: the question has no text"]),
        ("\n\nA?{~a ~b}", ["line 3: there is no right answer"]),
        ("A?{=%0%a}", ["line 1: there is no right answer"]),
        ("A?{~%50%a ~%40%b}", ["line 1: the weights of the right answers add up to 90%, not to 100%"]),
        ("A?{=%50%a}", ["line 1: no answer is worth 100%"]),
        ("A?{#=%50%1}", ["line 1: no answer is worth 100%"]),
        ("A?{=a\n~%150%b}", ["line 2: '%150%' is not a weight from -100 to 100"]),
        ("A?{=a\n~%33,3%b}", ["line 2: '%33,3%' is not a weight from -100 to 100"]),
        ("A?{=a\n~}", ["line 2: there is an answer without text"]),
        ("A?{=a\n=#why\n~b}", ["line 2: there is an answer without text"]),
        ("A?{\nso =a ~b}", ["line 2: 'so' must begin with '=' or '~' to be an answer"]),
        ("A?{yes}", ["line 1: 'yes' must begin with '=' or '~' to be an answer"]),
        ("A?{~a=}", ["line 1: there is an answer without text"]),
        ("A?{\n=tom*}", ["line 2: 'tom*' has a wildcard; write the texts out, or \\* for the sign itself"]),
        ("A?{\n=a -> b\n=c}", ["line 3: 'c' has no '-> …' that belongs to it"]),
        ("A?{=a -> b =a -> c}", ["line 1: 'a' stands there twice"]),
        ("A?{=a -> b}", ["line 1: all items belong to the same; at least two are needed to choose from"]),
        ("A?{= -> b = -> c}", ["line 1: too few pairs: 0 of at least 1"]),
        ("A?{~%100%a}", ["line 1: too few choices: 1 of at least 2"]),
        ("A?{#\n=four}", ["line 2: 'four' is not a number"]),
        ("A?{#1,5}", ["line 1: '1,5' is not a number"]),
        ("A?{#1:}", ["line 1: a number is missing"]),
        ("A?{#}", ["line 1: there is no right answer"]),
        ("A?{#1:-1}", ["line 1: the tolerance in '1:-1' is below 0"]),
        ("A?{#5..1}", ["line 1: the range '5..1' ends before it begins"]),
        ("A?{#1e999}", ["line 1: '1e999' is too large a number"]),
        ("A?{" + "=a" * 101 + "}", ["line 1: too many answers: at most 100 are read"]),
        ("A?{" + "~b" * 50 + "=a}", ["line 1: too many choices: 51 of at most 50"]),
        ("x" * 5001 + "{}", ["line 1: the question is longer than 5000 characters"]),
        (f"::{'x' * 201}::A?{{}}", ["line 1: the title is longer than 200 characters"]),
        (
            f"A?{{T####{'x' * 2001}}}",
            ["line 1: the explanation with all feedback is longer than 2000 characters"],
        ),
        (f"A?{{={'x' * 501}}}", [f"line 1: the answer '{'x' * 29}…' is longer than 500 characters"]),
        ("", ["line 1: there is no question in the file"]),
        ("// nothing\n$CATEGORY: x\n", ["line 1: there is no question in the file"]),
        ("A?\n{T}\n\0", ["line 3: there is a character that is no text"]),
    ],
)
def test_a_fault_is_told_with_its_line(text: str, expected: list[str]) -> None:
    assert faults(text) == expected


def test_all_faults_of_a_file_are_told_in_order() -> None:
    found = faults("A?{=a\n\nB?{T}\n\nC?{#x =y}\n\nD?{~a\n~%x%b\n~%300%c}\n\nloose")
    assert [fault.split(":")[0] for fault in found] == ["line 1", "line 5", "line 5", "line 9", "line 11"]


def test_the_callers_violations_are_few_and_say_how_many_more_there_are() -> None:
    with pytest.raises(QuestionFileError) as caught:
        gift("loose\n\n" * 2000)
    violations = caught.value.violations
    assert len(caught.value.faults) == 1000
    assert len(violations) == 31
    assert violations[0].field == "content"
    assert violations[0].description.startswith("line 1: ")
    assert violations[-1].description == "970 more faults"


def test_ten_thousand_questions_are_the_most() -> None:
    assert faults("A{}\n\n" * 10_001) == ["line 20001: there are more than 10000 questions"]


def test_the_demo_file_has_questions_of_several_kinds() -> None:
    questions = gift(_DEMO.read_text(encoding="utf-8"))
    kinds = Counter(type(each.part) for each in questions)
    assert kinds == {Choices: 5, TrueFalse: 2, FillIn: 1, Number: 2, Matching: 2}
    assert sum(isinstance(each.part, Choices) and each.part.multiple for each in questions) == 2


@pytest.mark.skipif(not _SHARED.is_dir(), reason="there is no ../shared/data beside the repository")
@pytest.mark.parametrize(
    ("name", "count"), [("geography", 840), ("science-technology", 2483), ("sports", 2838)]
)
def test_real_files_are_read_without_a_fault(name: str, count: int) -> None:
    questions = gift((_SHARED / f"{name}.gift").read_text(encoding="utf-8"))
    assert len(questions) == count
    assert {type(each.part) for each in questions} == {Choices, TrueFalse}
