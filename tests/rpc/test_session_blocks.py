"""Writing blocks: of every kind, in any order, while they are pending; and who sees what of them."""

import random
from collections.abc import Callable

import pytest
from google.protobuf import text_format
from muster.scoring.v1 import rules_pb2
from muster.session.v1 import block_pb2
from muster.session.v1 import block_service_pb2 as pb
from muster_kit.errors import Reason

from tests.fitting_blocks import FITTING
from tests.rpc.house import House, error_of, reason_of
from tests.rpc.lessons import Lesson, new_lesson, seconds, true_false

PENDING, ACTIVE, CLOSED, SKIPPED = (
    getattr(block_pb2, f"BLOCK_STATUS_{name}") for name in ("PENDING", "ACTIVE", "CLOSED", "SKIPPED")
)


async def prompts(lesson: Lesson) -> list[str]:
    blocks = await lesson.blocks()
    assert [block.position for block in blocks] == list(range(1, len(blocks) + 1))
    return [block.content.prompt for block in blocks]


@pytest.mark.parametrize("kind", FITTING)
async def test_a_block_of_every_kind_is_kept_whole(house: House, kind: str) -> None:
    lesson = await new_lesson(house)
    written = text_format.Parse(FITTING[kind], block_pb2.NewBlock())
    written.time_limit.CopyFrom(seconds(20.5))
    written.rules.CopyFrom(rules_pb2.ScoringRules(base_points=7, multiplier=2))
    (added,) = (await lesson.block_call("AddBlocks", blocks=[written])).blocks
    assert (added.position, added.status, added.revision) == (1, PENDING, 1)
    assert added.answer_key == written.answer_key
    assert (added.time_limit, added.rules) == (written.time_limit, written.rules)
    if kind not in {"ordering", "matching", "swipe_categorize"}:
        assert added.content == written.content
    assert await lesson.blocks() == [added]
    assert (await lesson.session()).block_count == 1


async def test_the_order_in_which_items_are_shown_is_not_the_one_they_came_in(house: House) -> None:
    lesson = await new_lesson(house)
    written = block_pb2.NewBlock(content=block_pb2.BlockContent(prompt="?"))
    ids = [f"i{number:02}" for number in range(30)]
    written.content.ordering.items.extend(block_pb2.Item(item_id=item_id) for item_id in ids)
    written.answer_key.order.item_ids.extend(ids)
    (added,) = (await lesson.block_call("AddBlocks", blocks=[written])).blocks
    shown = [item.item_id for item in added.content.ordering.items]
    assert shown != ids
    assert sorted(shown) == ids
    assert list(added.answer_key.order.item_ids) == ids


async def test_a_faulty_block_is_named_and_nothing_is_added(house: House) -> None:
    lesson = await new_lesson(house)
    faulty = true_false()
    faulty.answer_key.number.ranges.add(minimum=1, maximum=2, credit=1)
    error = await error_of(lesson.add(true_false(), true_false(), faulty))
    assert error.reason is Reason.INVALID_FIELD
    assert [violation.field for violation in error.violations] == ["blocks[2].answer_key"]
    assert await lesson.blocks() == []


async def test_blocks_go_to_the_end_or_to_a_place(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.add(true_false("a"), true_false("b"))
    await lesson.add(true_false("c"), true_false("d"), position=2)
    await lesson.add(true_false("e"), position=5)
    await lesson.add(true_false("f"), position=1)
    assert await prompts(lesson) == ["f", "a", "c", "d", "b", "e"]
    assert await reason_of(lesson.add(true_false("g"), position=8)) is Reason.INVALID_FIELD


async def test_a_pending_block_is_changed_and_its_revision_grows(house: House) -> None:
    lesson = await new_lesson(house, blocks=2)
    block_id = lesson.block_ids[0]
    updated = (await lesson.block_call("UpdateBlock", block_id=block_id, block=true_false("new"))).block
    assert (updated.content.prompt, updated.revision, updated.position) == ("new", 2, 1)
    stale = lesson.block_call("UpdateBlock", block_id=block_id, block=true_false(), expected_revision=1)
    assert await reason_of(stale) is Reason.REVISION_STALE
    await lesson.block_call("UpdateBlock", block_id=block_id, block=true_false(), expected_revision=2)


async def test_deleting_a_block_moves_the_others_up(house: House) -> None:
    lesson = await new_lesson(house)
    ids = await lesson.add(*(true_false(prompt) for prompt in "abcd"))
    await lesson.block_call("DeleteBlock", block_id=ids[1])
    assert await prompts(lesson) == ["a", "c", "d"]
    assert (await lesson.session()).block_count == 3
    assert await reason_of(lesson.block_call("DeleteBlock", block_id=ids[1])) is Reason.NOT_FOUND
    stale = lesson.block_call("DeleteBlock", block_id=ids[0], expected_revision=9)
    assert await reason_of(stale) is Reason.REVISION_STALE


async def test_blocks_are_put_in_any_order(house: House) -> None:
    lesson = await new_lesson(house)
    ids = await lesson.add(*(true_false(prompt) for prompt in "abcdef"))
    rng = random.Random(7)
    for _ in range(5):
        rng.shuffle(ids)
        assert (await lesson.block_call("ReorderBlocks", block_ids=ids)).block_ids == ids
        assert [block.block_id for block in await lesson.blocks()] == ids


@pytest.mark.parametrize("spoil", [lambda ids: ids[1:], lambda ids: [*ids, "another"]], ids=["less", "more"])
async def test_an_order_names_every_block(house: House, spoil: Callable[[list[str]], list[str]]) -> None:
    lesson = await new_lesson(house, blocks=3)
    order = lesson.block_call("ReorderBlocks", block_ids=spoil(lesson.block_ids))
    assert await reason_of(order) is Reason.INVALID_FIELD


async def test_blocks_that_were_shown_keep_their_places(house: House) -> None:
    lesson = await new_lesson(house, blocks=4)
    await lesson.start()
    first, second, third, fourth = lesson.block_ids
    await lesson.block_call("ActivateBlock", block_id=second)
    moved = lesson.block_call("ReorderBlocks", block_ids=[second, first, third, fourth])
    assert await reason_of(moved) is Reason.BLOCK_STATUS
    await lesson.block_call("ReorderBlocks", block_ids=[fourth, second, third, first])


@pytest.mark.parametrize("rpc", ["UpdateBlock", "DeleteBlock"])
@pytest.mark.parametrize("shown", ["active", "closed", "skipped"])
async def test_a_block_that_was_shown_is_not_changed_any_more(house: House, rpc: str, shown: str) -> None:
    lesson = await new_lesson(house, blocks=1)
    await lesson.start()
    block_id = lesson.block_ids[0]
    if shown == "skipped":
        await lesson.block_call("SkipBlock", block_id=block_id)
    else:
        await lesson.block_call("ActivateBlock", block_id=block_id)
    if shown == "closed":
        await lesson.block_call("CloseBlock", block_id=block_id)
    fields = {"block": true_false()} if rpc == "UpdateBlock" else {}
    assert await reason_of(lesson.block_call(rpc, block_id=block_id, **fields)) is Reason.BLOCK_STATUS


async def test_nothing_is_written_once_the_session_is_over(house: House) -> None:
    lesson = await new_lesson(house, blocks=2)
    await lesson.start()
    await lesson.call("EndSession")
    assert await reason_of(lesson.add(true_false())) is Reason.SESSION_STATUS
    order = lesson.block_call("ReorderBlocks", block_ids=lesson.block_ids)
    assert await reason_of(order) is Reason.SESSION_STATUS


async def test_a_session_takes_two_thousand_blocks_and_no_more(house: House) -> None:
    lesson = await new_lesson(house)
    for _ in range(4):
        await lesson.add(*[true_false()] * 500)
    assert await reason_of(lesson.add(true_false())) is Reason.TOO_LARGE


async def test_pages_of_blocks_are_all_of_them_once(house: House) -> None:
    lesson = await new_lesson(house, blocks=7)
    seen, token = [], ""
    while True:
        page = await lesson.block_call("ListBlocks", page_size=3, page_token=token)
        seen += [block.block_id for block in page.blocks]
        token = page.next_page_token
        if not token:
            break
    assert seen == lesson.block_ids
    for wrong in ("nonsense", "W10", page.next_page_token + "x"):
        stale = lesson.block_call("ListBlocks", page_token=wrong)
        assert await reason_of(stale) is Reason.PAGE_TOKEN_INVALID


async def test_participants_see_blocks_when_they_are_shown_and_keys_when_they_close(house: House) -> None:
    lesson = await new_lesson(house, blocks=3)
    await lesson.open()
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    assert await lesson.blocks(ana.ticket) == []
    first, second, third = lesson.block_ids
    await lesson.block_call("ActivateBlock", block_id=first)
    (shown,) = await lesson.blocks(ana.ticket)
    assert (shown.block_id, shown.status, shown.HasField("answer_key")) == (first, ACTIVE, False)
    assert (await lesson.block(first)).HasField("answer_key")
    await lesson.block_call("CloseBlock", block_id=first)
    (shown,) = await lesson.blocks(ana.ticket)
    assert (shown.status, shown.answer_key.true_false.value) == (CLOSED, True)
    await lesson.block_call("ActivateBlock", block_id=second)
    await lesson.block_call("SkipBlock", block_id=second)
    await lesson.block_call("SkipBlock", block_id=third)
    shown = await lesson.blocks(ana.ticket)
    assert [(block.block_id, block.status) for block in shown] == [(first, CLOSED), (second, SKIPPED)]
    assert not shown[1].HasField("answer_key")


async def test_a_session_that_hides_answers_never_shows_them(house: House) -> None:
    lesson = await new_lesson(house, blocks=1, answers_hidden=True)
    await lesson.open()
    ana = await lesson.join("ana")
    await lesson.call("StartSession")
    await lesson.block_call("ActivateBlock")
    await lesson.block_call("CloseBlock", block_id=lesson.block_ids[0])
    (shown,) = await lesson.blocks(ana.ticket)
    assert (shown.status, shown.HasField("answer_key")) == (CLOSED, False)
    closed = [event.block_closed for event in await lesson.events() if event.HasField("block_closed")]
    assert [event.HasField("answer_key") for event in closed] == [False]


@pytest.mark.parametrize("rpc", ["AddBlocks", "UpdateBlock", "DeleteBlock", "ReorderBlocks", "ImportBlocks"])
async def test_participants_write_no_blocks(house: House, rpc: str) -> None:
    lesson = await new_lesson(house, blocks=1)
    await lesson.open()
    ana = await lesson.join("ana")
    fields = {
        "AddBlocks": {"blocks": [true_false()]},
        "UpdateBlock": {"block_id": lesson.block_ids[0], "block": true_false()},
        "DeleteBlock": {"block_id": lesson.block_ids[0]},
        "ReorderBlocks": {"block_ids": lesson.block_ids},
        "ImportBlocks": {"format": pb.QUESTION_FORMAT_GIFT, "content": b"1 + 1 = {=2}"},
    }[rpc]
    for who in (ana.user, ana.ticket):
        assert await reason_of(lesson.block_call(rpc, by=who, **fields)) is Reason.PERMISSION_DENIED


FILES = {
    pb.QUESTION_FORMAT_GIFT: b"Two and two? {=4 ~3}\n\nThe earth is round. {TRUE}\n",
    pb.QUESTION_FORMAT_AIKEN: b"Two and two?\nA. 3\nB. 4\nANSWER: B\n\nOne and one?\nA. 2\nB. 1\nANSWER: A\n",
}


@pytest.mark.parametrize("file_format", FILES)
async def test_the_questions_of_a_file_become_blocks(house: House, file_format: int) -> None:
    lesson = await new_lesson(house, blocks=1)
    fields = {"format": file_format, "content": FILES[file_format]}
    checked = await lesson.block_call("ImportBlocks", validate_only=True, **fields)
    assert (checked.block_count, list(checked.block_ids)) == (2, [])
    imported = await lesson.block_call("ImportBlocks", **fields)
    assert imported.block_count == 2
    blocks = await lesson.blocks()
    assert [block.block_id for block in blocks] == [*lesson.block_ids, *imported.block_ids]
    assert blocks[1].content.prompt == "Two and two?"
    one = await lesson.block_call("ImportBlocks", max_blocks=1, **fields)
    assert one.block_count == 1


async def test_a_faulty_file_is_told_line_by_line_and_nothing_of_it_is_imported(house: House) -> None:
    lesson = await new_lesson(house)
    content = b"Fine? {TRUE}\n\nNot fine {=a\n\nNor this? {~b ~c}\n"
    error = await error_of(lesson.block_call("ImportBlocks", format=pb.QUESTION_FORMAT_GIFT, content=content))
    assert error.reason is Reason.QUESTION_FILE_FAULTY
    assert error.violations
    assert all(violation.description.startswith("line ") for violation in error.violations)
    assert await lesson.blocks() == []
