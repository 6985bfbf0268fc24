"""Calls that get in each other's way, or come too late, are made in turn or refused; nothing stays locked."""

import asyncio

from muster.scoring.v1 import answer_pb2
from muster.session.v1 import block_pb2, session_pb2
from muster_kit.errors import Reason

from tests.rpc.house import House, reason_of
from tests.rpc.lessons import STATUS, new_lesson, true_false


async def test_skipping_and_deleting_a_block_at_once_leaves_the_session_free(house: House) -> None:
    lesson = await new_lesson(house, blocks=12)
    await lesson.start()
    blocks = await lesson.blocks()
    outcomes = await asyncio.gather(
        *(
            lesson.block_call(rpc, block_id=block.block_id)
            for block in blocks
            for rpc in ("SkipBlock", "DeleteBlock")
        ),
        return_exceptions=True,
    )
    for skipped, deleted in zip(outcomes[::2], outcomes[1::2], strict=True):
        assert not (isinstance(skipped, Exception) and isinstance(deleted, Exception))
    await lesson.call("EndSession")
    assert (await lesson.session()).status == STATUS["ended"]


async def test_names_and_roles_stay_as_they_were_when_it_ended(house: House) -> None:
    lesson = await new_lesson(house)
    await lesson.open()
    seat = await lesson.join("ann")
    await lesson.call("StartSession")
    await lesson.call("EndSession")
    late = lesson.call("UpdateParticipant", participant_id=seat.id, display_name="Anna")
    assert await reason_of(late) == Reason.SESSION_STATUS


async def test_items_to_categorize_are_not_shown_category_by_category(house: House) -> None:
    names = [f"item-{number}" for number in range(24)]
    first_half = set(names[:12])
    block = block_pb2.NewBlock(
        content=block_pb2.BlockContent(
            prompt="Which goes where?",
            swipe_categorize=block_pb2.SwipeCategorize(
                items=[block_pb2.Item(item_id=name, text=name) for name in names],
                categories=[block_pb2.Item(item_id=name, text=name) for name in ("x", "y")],
            ),
        ),
        answer_key=answer_pb2.AnswerKey(
            categories=answer_pb2.CategoriesKey(
                placements=[
                    answer_pb2.Placement(item_id=name, category_id="x" if name in first_half else "y")
                    for name in names
                ],
                category_ids=["x", "y"],
            )
        ),
    )
    lesson = await new_lesson(house)
    await lesson.add(block)
    (shown,) = await lesson.blocks()
    ids = [item.item_id for item in shown.content.swipe_categorize.items]
    assert sorted(ids) == sorted(names)
    assert set(ids[:12]) != first_half


async def test_a_block_id_that_is_taken_is_refused_and_nothing_is_added(house: House) -> None:
    first, second = await new_lesson(house), await new_lesson(house)
    fixed = block_pb2.NewBlock(
        block_id=f"fixed-{first.session_id}"[:64],
        content=block_pb2.BlockContent(prompt="So?", true_false=block_pb2.TrueFalse()),
        answer_key=answer_pb2.AnswerKey(true_false=answer_pb2.TrueFalseKey(value=True)),
    )
    assert await first.add(fixed) == [fixed.block_id]
    for lesson in (first, second):
        assert await reason_of(lesson.add(fixed)) == Reason.ALREADY_EXISTS
    assert len(await first.blocks()) == 1
    assert await second.blocks() == []


def test_statuses_of_sessions_are_known_here() -> None:
    """The names used above are the contract's."""
    assert set(STATUS.values()) == set(session_pb2.SessionStatus.values()) - {0}


async def test_a_session_too_large_for_one_message_is_watched_and_listed_all_the_same(house: House) -> None:
    long = "x" * 4500
    lesson = await new_lesson(house)
    for _ in range(2):
        await lesson.add(*(true_false(f"{number} {long}") for number in range(450)))
    async with lesson.watch(by=lesson.host) as watch:
        snapshot = (await watch.frame("snapshot")).snapshot
    assert 0 < len(snapshot.blocks) < 900
    assert len(snapshot.blocks) + len(snapshot.pending_blocks) == 900
    positions = sorted(
        block.position for part in (snapshot.blocks, snapshot.pending_blocks) for block in part
    )
    assert positions == list(range(1, 901))
    listed = await lesson.blocks()
    assert [block.position for block in listed] == list(range(1, 901))
