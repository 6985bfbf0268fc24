"""Every kind of question can be answered, is graded, counted and listed."""

from collections.abc import AsyncIterator, Mapping

import pytest
from muster.scoring.v1 import answer_pb2, round_pb2
from muster.scoring.v1.answer_pb2 import Answer, AnswerKey
from muster_kit.errors import Reason

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import choose


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


def _pairs(**pairs: str) -> list[answer_pb2.Pair]:
    return [answer_pb2.Pair(left_id=left, right_id=right) for left, right in pairs.items()]


def _placements(**places: str) -> list[answer_pb2.Placement]:
    return [answer_pb2.Placement(item_id=item, category_id=place) for item, place in places.items()]


def _blanks(**texts: str) -> Answer:
    blanks = [answer_pb2.BlankAnswer(blank_id=blank, text=text) for blank, text in texts.items()]
    return Answer(blanks=answer_pb2.BlanksAnswer(blanks=blanks))


def _blank_key(blank_id: str, text: str) -> answer_pb2.BlankKey:
    accepted = [answer_pb2.AcceptedText(text=text, credit=1)]
    return answer_pb2.BlankKey(blank_id=blank_id, accepted=accepted)


def _choice_credits(**worth: float) -> list[answer_pb2.ChoiceCredit]:
    return [answer_pb2.ChoiceCredit(choice_id=name, credit=credit) for name, credit in worth.items()]


# By kind of key: the key, a right answer, another one with its points out of 1000, what is counted of both.
_KINDS: Mapping[str, tuple[AnswerKey, Answer, Answer, int, Mapping[str, int]]] = {
    "choices": (
        AnswerKey(choices=answer_pb2.ChoiceKey(choices=_choice_credits(a=1, b=0, c=0.5))),
        choose("a"),
        choose("c"),
        500,
        {"a": 1, "c": 1},
    ),
    "several choices": (
        AnswerKey(choices=answer_pb2.ChoiceKey(choices=_choice_credits(a=0.5, b=0.5, c=-0.5), multiple=True)),
        choose("a", "b"),
        choose("a"),
        500,
        {"a": 2, "b": 1},
    ),
    "true_false": (
        AnswerKey(true_false=answer_pb2.TrueFalseKey(value=True)),
        Answer(true_false=answer_pb2.TrueFalseAnswer(value=True)),
        Answer(true_false=answer_pb2.TrueFalseAnswer(value=False)),
        0,
        {"true": 1, "false": 1},
    ),
    "blanks": (
        AnswerKey(blanks=answer_pb2.BlanksKey(blanks=[_blank_key("x", "Paris"), _blank_key("y", "Rome")])),
        _blanks(x=" paris", y="ROME"),
        _blanks(x="Paris", y=" \x1f"),
        500,
        {"x=paris": 2, "y=rome": 1, "y=": 1},
    ),
    "pairs": (
        AnswerKey(pairs=answer_pb2.PairsKey(pairs=_pairs(l1="r1", l2="r2"), spare_right_ids=["r3"])),
        Answer(pairs=answer_pb2.PairsAnswer(pairs=_pairs(l1="r1", l2="r2"))),
        Answer(pairs=answer_pb2.PairsAnswer(pairs=_pairs(l1="r1", l2="r3"))),
        500,
        {"l1=r1": 2, "l2=r2": 1, "l2=r3": 1},
    ),
    "categories": (
        AnswerKey(
            categories=answer_pb2.CategoriesKey(
                placements=_placements(i1="c1", i2="c2"), category_ids=["c1", "c2", "c3"]
            )
        ),
        Answer(categories=answer_pb2.CategoriesAnswer(placements=_placements(i1="c1", i2="c2"))),
        Answer(categories=answer_pb2.CategoriesAnswer(placements=_placements(i2="c2"))),
        500,
        {"i2=c2": 2, "i1=c1": 1},
    ),
    "order": (
        AnswerKey(order=answer_pb2.OrderKey(item_ids=["1", "2", "3"])),
        Answer(order=answer_pb2.OrderAnswer(item_ids=["1", "2", "3"])),
        Answer(order=answer_pb2.OrderAnswer(item_ids=["2", "1", "3"])),
        333,
        {"1,2,3": 1, "2,1,3": 1},
    ),
    "number": (
        AnswerKey(
            number=answer_pb2.NumericKey(
                ranges=[
                    answer_pb2.NumericRange(minimum=3.14, maximum=3.15, credit=1),
                    answer_pb2.NumericRange(minimum=3, maximum=4, credit=0.5),
                ]
            )
        ),
        Answer(number=answer_pb2.NumericAnswer(value=3.14159)),
        Answer(number=answer_pb2.NumericAnswer(value=4)),
        500,
        {"3.14159": 1, "4": 1},
    ),
    "poll": (
        AnswerKey(poll=answer_pb2.PollKey(choice_ids=["a", "b"])),
        choose("a"),
        choose("b"),
        0,
        {"a": 1, "b": 1},
    ),
    "text": (
        AnswerKey(text=answer_pb2.TextKey(max_length=20)),
        Answer(text=answer_pb2.TextAnswer(text="free speech")),
        Answer(text=answer_pb2.TextAnswer(text="no")),
        0,
        {},
    ),
}
_UNGRADED = {"poll", "text"}


@pytest.mark.parametrize("kind", _KINDS)
async def test_every_kind_from_opening_to_results(scoring: Scoring, kind: str) -> None:
    key, right, other, points, counts = _KINDS[kind]
    game = scoring.game(base_points=1000)
    ann, ben = game.players(2)
    round_id = await game.open(key)
    first, second = await ann.submit(round_id, right), await ben.submit(round_id, other)
    if kind in _UNGRADED:
        assert first.response.status == round_pb2.RESPONSE_STATUS_SUBMITTED
        assert first.response.score == 0
    else:
        assert first.response.status == round_pb2.RESPONSE_STATUS_CORRECT
        assert first.response.score == 1000
    assert second.response.score == points
    assert (first.response.answer, second.response.answer) == (right, other)
    stats = (await game.close(round_id)).stats
    assert {each.answer: each.count for each in stats.distribution} == counts
    assert stats.response_count == 2
    listed = (await game.responses()).responses
    assert list(listed) == [first.response, second.response]


def test_every_kind_of_key_is_tried() -> None:
    tried = {key.WhichOneof("kind") for key, *_ in _KINDS.values()}
    assert tried == {field.name for field in AnswerKey.DESCRIPTOR.oneofs_by_name["kind"].fields}


async def test_an_answer_that_does_not_fit_the_question_is_refused(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player()
    round_id = await game.open()
    for answer in (choose("z"), choose("a", "b"), Answer(text=answer_pb2.TextAnswer(text="a"))):
        assert await reason_of(ann.submit(round_id, answer)) is Reason.ANSWER_MISMATCH
        assert await reason_of(ann.draft(round_id, answer)) is Reason.ANSWER_MISMATCH
    assert (await game.stats(round_id)).response_count == 0


async def test_an_answer_as_long_as_it_may_be_is_counted(scoring: Scoring) -> None:
    game = scoring.game()
    items = [f"{place:02}{'é' * 62}" for place in range(50)]
    round_id = await game.open(AnswerKey(order=answer_pb2.OrderKey(item_ids=items)))
    await game.player().submit(round_id, Answer(order=answer_pb2.OrderAnswer(item_ids=items)))
    swapped = [*items[:48], items[49], items[48]]
    await game.player().submit(round_id, Answer(order=answer_pb2.OrderAnswer(item_ids=swapped)))
    assert [each.count for each in (await game.stats(round_id)).distribution] == [1, 1]
