"""Blocks between their contract and the model; content and key pass through as bytes."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from muster.scoring.v1.answer_pb2 import AnswerKey
from muster.session.v1 import block_pb2 as pb
from muster_kit.errors import MusterError, Reason, Violation

from muster_session.convert import message_bytes
from muster_session.convert_keys import check_key, faults_of
from muster_session.model_blocks import Block, BlockBody, BlockPlace, BlockStatus

_STATUSES: Final[Mapping[BlockStatus, pb.BlockStatus]] = {
    each: getattr(pb, f"BLOCK_STATUS_{each.name}") for each in BlockStatus
}


def bodies_of(blocks: Iterable[tuple[str, pb.NewBlock]], *, field: str) -> list[tuple[str, BlockBody]]:
    """Return (block id, body) of new blocks, with what would give their answers away put in disorder.

    Raises MusterError(INVALID_FIELD) with the faults of all of them, as `<field>[2].answer_key…`.
    """
    pairs = list(blocks)
    violations = [
        Violation(f"{field}[{index}].{fault.field}", fault.description)
        for index, (_, block) in enumerate(pairs)
        for fault in faults_of(block.content, block.answer_key)
    ]
    if violations:
        raise MusterError(Reason.INVALID_FIELD, violations=violations)
    return [(block_id, _body(block, block_id)) for block_id, block in pairs]


def body_of(block: pb.NewBlock, block_id: str, *, field: str) -> BlockBody:
    """Return the body of one block; like `bodies_of`, with faults as `<field>.answer_key…`."""
    check_key(block.content, block.answer_key, field=field)
    return _body(block, block_id)


def _body(block: pb.NewBlock, seed: str) -> BlockBody:
    return BlockBody(
        content=message_bytes(scattered(block.content, seed)),
        answer_key=message_bytes(block.answer_key),
        time_limit=block.time_limit.ToTimedelta() if block.HasField("time_limit") else None,
        rules=message_bytes(block.rules) if block.HasField("rules") else None,
    )


def scattered(content: pb.BlockContent, seed: str) -> pb.BlockContent:
    """Return the content with the items in a random order wherever their order could be the answer.

    Items to be ordered or put into categories, and right sides to be matched, are shown in an order
    that depends on `seed` and their ids alone, so whatever order they came in, it shows nothing of it.
    Writing the same block again gives the same order.
    """
    shown = pb.BlockContent()
    shown.CopyFrom(content)
    if shown.HasField("ordering"):
        _scatter(shown.ordering.items, seed)
    elif shown.HasField("matching"):
        _scatter(shown.matching.right, seed)
    elif shown.HasField("swipe_categorize"):
        _scatter(shown.swipe_categorize.items, seed)
    return shown


def _scatter(items: Any, seed: str) -> None:
    items.sort(key=lambda item: hashlib.sha256(f"{seed}\0{item.item_id}".encode()).digest())


def block_message(block: Block, *, with_key: bool) -> pb.Block:
    """Return the block as it was shown, and its key if the viewer may have it."""
    message = pb.Block(
        block_id=block.block_id,
        session_id=block.session_id,
        position=block.position,
        status=_STATUSES[block.status],
        content=pb.BlockContent.FromString(block.body.content),
        answer_key=AnswerKey.FromString(block.body.answer_key) if with_key else None,
        time_limit=block.body.time_limit,
        round_id=block.round_id,
        open_time=block.open_time,
        close_time=block.close_time,
        time_left=block.time_left,
        revision=block.revision,
    )
    if block.body.rules is not None:
        message.rules.MergeFromString(block.body.rules)
        message.rules.SetInParent()
    return message


def shown_key(block: Block, *, answers_hidden: bool) -> bool:
    """Tell whether everybody may see the block's key: it has closed, and the session shows answers."""
    return block.status is BlockStatus.CLOSED and not answers_hidden


def outline_message(place: BlockPlace) -> pb.BlockOutline:
    """Return what all may know of a block."""
    return pb.BlockOutline(block_id=place.block_id, position=place.position, status=_STATUSES[place.status])
