"""What holds for every question file: what is written is read, and nothing makes a reader fall."""

import time
from dataclasses import replace

import protovalidate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from muster_session.convert_keys import check_key
from muster_session.question_files import (
    Fault,
    Question,
    QuestionFileError,
    QuestionFormat,
    guess_format,
    parse,
    to_block,
    to_blocks,
)
from muster_session.question_files.check import check
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

_CHARACTERS = st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\\~=#{}:*%[]/.")
_TEXTS = st.text(_CHARACTERS, max_size=30).map(str.strip)
_WORDS = _TEXTS.filter(bool)
_PROMPTS = _WORDS.filter(lambda text: not text.startswith("//"))
_SIDES = _WORDS.filter(lambda text: ">" not in text)
_NUMBERS = st.floats(-1e9, 1e9)
_WEIGHTS = st.integers(-100, 0).map(lambda percent: percent / 100)


def _single_choices() -> st.SearchStrategy[Part]:
    wrong = st.builds(Choice, _WORDS, _WEIGHTS, _TEXTS)
    right = st.builds(Choice, _WORDS, st.just(1.0), _TEXTS)
    lists = st.tuples(st.lists(wrong, max_size=3), right, st.lists(wrong, min_size=1, max_size=3))
    return lists.map(lambda parts: Choices((*parts[0], parts[1], *parts[2])))


def _multiple_choices() -> st.SearchStrategy[Part]:
    wrong = st.builds(Choice, _WORDS, _WEIGHTS, _TEXTS)
    half = st.builds(Choice, _WORDS, st.just(0.5), _TEXTS)
    lists = st.tuples(st.lists(wrong, max_size=3), half, half)
    return lists.map(lambda parts: Choices((*parts[0], parts[1], parts[2]), multiple=True))


def _ranges() -> st.SearchStrategy[NumberRange]:
    ends = st.tuples(_NUMBERS, _NUMBERS).map(sorted)
    return st.builds(lambda pair, text: NumberRange(pair[0], pair[1], 1.0, text), ends, _TEXTS)


_PARTS: st.SearchStrategy[Part] = st.one_of(
    _single_choices(),
    _multiple_choices(),
    st.builds(TrueFalse, st.booleans(), _TEXTS, _TEXTS),
    st.lists(st.builds(Accepted, _WORDS, st.just(1.0), _TEXTS), min_size=1, max_size=4).map(
        lambda accepted: FillIn((Blank(tuple(accepted)),))
    ),
    st.lists(_ranges(), min_size=1, max_size=4).map(lambda ranges: Number(tuple(ranges))),
    st.lists(_SIDES, min_size=2, max_size=5, unique=True).map(
        lambda sides: Matching(tuple(Link(each, each + "!") for each in sides), ("spare",))
    ),
    st.just(OpenText()),
)
_QUESTIONS = st.builds(
    Question,
    prompt=_PROMPTS,
    part=_PARTS,
    line=st.just(0),
    title=_TEXTS.map(lambda text: " ".join(text.split())),
    explanation=_TEXTS,
)


def _escaped(text: str) -> str:
    written = "".join(f"\\{sign}" if sign in "\\~=#{}:" else sign for sign in text).replace("\n", "\\n")
    # A text that begins as a format mark does needs a mark of its own.
    return f"[markdown]{written}" if text.startswith("[") else written


def _feedback(text: str) -> str:
    return f"#{_escaped(text)}" if text else ""


def _answers(part: Part) -> str:
    match part:
        case Choices(choices, multiple):
            return "\n".join(
                f"{'=' if each.credit == 1 and not multiple else '~'}%{each.credit * 100:.0f}%"
                f"{_escaped(each.text)}{_feedback(each.feedback)}"
                for each in choices
            )
        case TrueFalse(value, right, wrong):
            return f"{'TRUE' if value else 'F'}#{_escaped(wrong)}#{_escaped(right)}"
        case FillIn((Blank(accepted),)):
            starred = [(_escaped(each.text).replace("*", "\\*"), each.feedback) for each in accepted]
            return " ".join(f"=%100%{text}{_feedback(feedback)}" for text, feedback in starred)
        case Number(ranges):
            spans = [f"{each.minimum!r}..{each.maximum!r}{_feedback(each.feedback)}" for each in ranges]
            return "#" + "".join(f"\n={span}" for span in spans)
        case Matching(pairs, spare):
            links = [(pair.left, pair.right) for pair in pairs] + [("", right) for right in spare]
            return "".join(f"={_escaped(left)} -> {_escaped(right)}\n" for left, right in links)
        case _:
            return ""


def _gift(question: Question) -> str:
    title = f"::{_escaped(question.title)}::" if question.title else ""
    general = f"\n####{_escaped(question.explanation)}" if question.explanation else ""
    return f"{title}{_escaped(question.prompt)} {{{_answers(question.part)}{general}}}"


@given(st.lists(_QUESTIONS, min_size=1, max_size=5))
@settings(max_examples=300, deadline=None)
def test_what_is_written_as_gift_is_read_again(questions: list[Question]) -> None:
    written = [_gift(question) for question in questions]
    read = parse(QuestionFormat.GIFT, "\n\n".join(written))
    assert [replace(each, line=0) for each in read] == questions
    lines = [1 + sum(text.count("\n") + 2 for text in written[:index]) for index in range(len(written))]
    assert [each.line for each in read] == lines


_SIGNS = st.text(st.sampled_from('~=#{}:%\\[]/ \n\t.0->a1Tb*$,;|"'), max_size=60)
_AIKEN_LINES = st.sampled_from(["Q?", "A. a", "B) b", "b.", "C. c", "ANSWER: A", "ANSWER: Z", "", " "])
_TABLE_CELLS = st.sampled_from(
    [
        "open_text",
        "poll",
        "numeric",
        "matching",
        "fill_in_blank",
        "a -> b",
        "1",
        "{{",
        "}}",
        "|",
        '"',
        "",
        "a",
    ]
)
_FILES = st.one_of(
    st.text(max_size=60),
    _SIGNS,
    st.lists(_AIKEN_LINES, max_size=12).map("\n".join),
    st.lists(st.lists(_TABLE_CELLS, max_size=5).map(",".join), max_size=5).map(
        lambda rows: "\n".join(["kind,prompt,choice_1,choice_2,answer", *rows])
    ),
)


def _read(form: QuestionFormat, text: str) -> tuple[list[Question], tuple[Fault, ...]]:
    try:
        return parse(form, text), ()
    except QuestionFileError as error:
        return [], error.faults


@given(st.sampled_from(QuestionFormat), _FILES)
@settings(max_examples=1000, deadline=None)
def test_any_text_gives_valid_blocks_or_faults_of_its_lines(form: QuestionFormat, text: str) -> None:
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    questions, faults = _read(form, text)
    assert questions or faults
    assert all(1 <= fault.line <= lines and fault.message for fault in faults)
    assert all(1 <= question.line <= lines for question in questions)
    for block in to_blocks(questions):
        protovalidate.validate(block)
        check_key(block.content, block.answer_key)


_LINKS = st.lists(st.builds(Link, _WORDS, _WORDS), max_size=30).map(tuple)
_WORD_TUPLES = st.lists(_WORDS, max_size=52).map(tuple)
_TABLE_PARTS: st.SearchStrategy[Part] = st.one_of(
    _PARTS,
    st.builds(Choices, st.lists(st.builds(Choice, _WORDS, st.sampled_from([-1, 0, 0.5, 1]))).map(tuple)),
    st.builds(Ordering, _WORD_TUPLES),
    st.builds(Poll, _WORD_TUPLES, st.booleans()),
    st.builds(Matching, _LINKS, _WORD_TUPLES),
    _LINKS.map(lambda links: Categorize(links, tuple(dict.fromkeys(link.right for link in links)))),
    st.builds(OpenText, st.integers(-1, 6000)),
    st.lists(_WORDS, max_size=52).map(
        lambda words: FillIn(tuple(Blank((Accepted(word),)) for word in words), ("", *words))
    ),
)


@given(st.builds(Question, prompt=_TEXTS, part=_TABLE_PARTS, line=st.just(1), title=_TEXTS))
@settings(max_examples=500, deadline=None)
def test_what_passes_the_check_is_a_block_the_contract_takes(question: Question) -> None:
    if not list(check(question)):
        block = to_block(question)
        protovalidate.validate(block)
        check_key(block.content, block.answer_key)


@given(st.text(max_size=20), _FILES)
def test_a_format_is_guessed_for_any_file(name: str, text: str) -> None:
    assert guess_format(name, text) in QuestionFormat


_SIZE = 2_000_000


_UNITS = [
    "{",
    "}",
    "a{\n",
    "a{\n\n",
    "a{}\n\n",
    "a{=%1%b =",
    "::",
    "\\",
    "\\{",
    "//\n",
    "$CATEGORY:\n",
    "[",
    "%",
]
_UNITS += ["a\n\n", " ", "\n", "=~", '"', ",", "{{", "kind,prompt\n", "A) b\n", "ANSWER: A\n"]


@pytest.mark.parametrize("unit", _UNITS)
@pytest.mark.parametrize("form", QuestionFormat)
def test_two_megabytes_of_anything_are_read_in_linear_time(form: QuestionFormat, unit: str) -> None:
    _read_in_time(form, unit * (_SIZE // len(unit)))


@pytest.mark.parametrize(
    "unit", ["=", "~", "~%", "#", "->", "=->", "T#", "\n", " ", "#1", "=a\\", "#1.", "[html]"]
)
def test_two_megabytes_inside_an_answer_block_are_read_in_linear_time(unit: str) -> None:
    _read_in_time(QuestionFormat.GIFT, f"Q?{{{unit * (_SIZE // len(unit))}}}")


def test_two_megabytes_of_questions_are_read_in_linear_time() -> None:
    _read_in_time(QuestionFormat.AIKEN, "Q\nA) b\nB) c\nANSWER: A\n" * (_SIZE // 22))
    _read_in_time(QuestionFormat.CSV, "kind,prompt\n" + "open_text,a\n" * (_SIZE // 12))


def _read_in_time(form: QuestionFormat, text: str) -> None:
    start = time.process_time()
    _read(form, text)
    # Some seconds where lines are counted; what is not linear takes hours.
    assert time.process_time() - start < 20
