"""Serves `muster.session.v1.BlockService`: writing blocks, and opening, closing and skipping them."""

import asyncio
from collections.abc import Sequence
from functools import partial

from muster.session.v1 import block_pb2
from muster.session.v1 import block_service_pb2 as pb
from muster_kit.ids import new_id
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call

from muster_session.access import is_staff, require_staff
from muster_session.convert_blocks import block_message, bodies_of, body_of, shown_key
from muster_session.model_blocks import Block, BlockBody
from muster_session.parts import Parts
from muster_session.question_files import QuestionFormat, decode, parse, to_blocks
from muster_session.usecases_access import entered_session, seen_session
from muster_session.usecases_blocks import add_blocks, delete_block, reorder_blocks, update_block
from muster_session.usecases_rounds import begin_activate, begin_close, begin_skip

_PAGE_BYTES = 1_000_000
"""A page ends here however many blocks were asked for: clients take 4 MiB a message unless told otherwise."""

_FORMATS = {
    pb.QUESTION_FORMAT_GIFT: QuestionFormat.GIFT,
    pb.QUESTION_FORMAT_AIKEN: QuestionFormat.AIKEN,
    pb.QUESTION_FORMAT_CSV: QuestionFormat.CSV,
}


class BlockServicer:
    """The calls about the blocks of a session."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def AddBlocks(self, request: pb.AddBlocksRequest, call: Call) -> bytes:
        """Add blocks."""
        bodies = bodies_of(((block.block_id or new_id(), block) for block in request.blocks), field="blocks")
        return await self._parts.commands.run(
            call.caller,
            request.session_id,
            partial(add_blocks, caller=call.caller, bodies=bodies, position=request.position),
            request=request,
            encode=lambda added: pb.AddBlocksResponse(blocks=_whole(added)),
        )

    async def UpdateBlock(self, request: pb.UpdateBlockRequest, call: Call) -> bytes:
        """Replace a pending block."""
        parts, body = self._parts, body_of(request.block, request.block_id, field="block")
        use_case = partial(
            update_block,
            caller=call.caller,
            block_id=request.block_id,
            body=body,
            expected_revision=request.expected_revision,
        )
        return await parts.transitions.helping(
            lambda: parts.commands.run(
                call.caller,
                request.session_id,
                use_case,
                request=request,
                encode=lambda block: pb.UpdateBlockResponse(block=block_message(block, with_key=True)),
            )
        )

    async def DeleteBlock(self, request: pb.DeleteBlockRequest, call: Call) -> bytes:
        """Delete a pending block."""
        parts = self._parts
        use_case = partial(
            delete_block,
            caller=call.caller,
            block_id=request.block_id,
            expected_revision=request.expected_revision,
        )
        return await parts.transitions.helping(
            lambda: parts.commands.run(
                call.caller,
                request.session_id,
                use_case,
                request=request,
                encode=lambda _: pb.DeleteBlockResponse(),
            )
        )

    async def ReorderBlocks(self, request: pb.ReorderBlocksRequest, call: Call) -> bytes:
        """Put the blocks in a new order."""
        parts = self._parts
        use_case = partial(reorder_blocks, caller=call.caller, block_ids=tuple(request.block_ids))
        return await parts.transitions.helping(
            lambda: parts.commands.run(
                call.caller,
                request.session_id,
                use_case,
                request=request,
                encode=lambda block_ids: pb.ReorderBlocksResponse(block_ids=block_ids),
            )
        )

    async def ListBlocks(self, request: pb.ListBlocksRequest, call: Call) -> pb.ListBlocksResponse:
        """List blocks: all for staff, for others those that were shown."""
        directory, caller = self._parts.directory, call.caller
        session, _ = await entered_session(directory, caller, request.session_id)
        staff = is_staff(caller, session)
        pages = Pages("blocks", request.session_id, staff, page_size=request.page_size)
        rows = await directory.list_blocks(
            caller.organization_id,
            request.session_id,
            shown_only=not staff,
            after=pages.number(request.page_token),
            limit=pages.limit,
        )
        shown, hidden = _that_fit(rows[: pages.size]), session.settings.answers_hidden
        return pb.ListBlocksResponse(
            blocks=[
                block_message(block, with_key=staff or shown_key(block, answers_hidden=hidden))
                for block in shown
            ],
            next_page_token=pages.token(shown[-1].position) if len(rows) > len(shown) else "",
        )

    async def ActivateBlock(self, request: pb.ActivateBlockRequest, call: Call) -> pb.ActivateBlockResponse:
        """Open a block for answers."""
        limit = request.time_limit.ToTimedelta() if request.HasField("time_limit") else None
        outcome = await self._parts.transitions.run(
            call.caller,
            request.session_id,
            partial(begin_activate, caller=call.caller, block_id=request.block_id, time_limit=limit),
            request=request,
        )
        return pb.ActivateBlockResponse(block=block_pb2.Block.FromString(outcome))

    async def CloseBlock(self, request: pb.CloseBlockRequest, call: Call) -> pb.CloseBlockResponse:
        """Close an active block."""
        outcome = await self._parts.transitions.run(
            call.caller,
            request.session_id,
            partial(begin_close, caller=call.caller, block_id=request.block_id),
            request=request,
        )
        return pb.CloseBlockResponse(block=block_pb2.Block.FromString(outcome))

    async def SkipBlock(self, request: pb.SkipBlockRequest, call: Call) -> pb.SkipBlockResponse:
        """Leave a block out."""
        outcome = await self._parts.transitions.run(
            call.caller,
            request.session_id,
            partial(begin_skip, caller=call.caller, block_id=request.block_id),
            request=request,
        )
        return pb.SkipBlockResponse(block=block_pb2.Block.FromString(outcome))

    async def ImportBlocks(
        self, request: pb.ImportBlocksRequest, call: Call
    ) -> pb.ImportBlocksResponse | bytes:
        """Add the questions of a file, all or none."""
        parts, caller = self._parts, call.caller
        session, _ = await seen_session(parts.directory, caller, request.session_id)
        # Before the file is read: that is work worth doing for who runs the session alone.
        require_staff(caller, session)
        # In a thread: a large file must not keep everybody else waiting.
        bodies = await asyncio.to_thread(_read, request)
        if request.validate_only:
            return pb.ImportBlocksResponse(block_count=len(bodies))
        return await parts.commands.run(
            caller,
            request.session_id,
            partial(add_blocks, caller=caller, bodies=bodies, position=0),
            request=request,
            encode=lambda added: pb.ImportBlocksResponse(
                block_count=len(added), block_ids=[block.block_id for block in added]
            ),
        )


def _read(request: pb.ImportBlocksRequest) -> list[tuple[str, BlockBody]]:
    questions = parse(_FORMATS[request.format], decode(request.content))
    blocks = to_blocks(questions[: request.max_blocks or None])
    return bodies_of(((new_id(), block) for block in blocks), field="content")


def _whole(blocks: Sequence[Block]) -> list[block_pb2.Block]:
    return [block_message(block, with_key=True) for block in blocks]


def _that_fit(blocks: Sequence[Block]) -> Sequence[Block]:
    """Return as many blocks as a message may hold, and at least one."""
    size = 0
    for index, block in enumerate(blocks):
        size += len(block.body.content) + len(block.body.answer_key)
        if size > _PAGE_BYTES and index:
            return blocks[:index]
    return blocks
