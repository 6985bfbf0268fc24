"""The blocks of one session in PostgreSQL."""

from collections.abc import Sequence
from typing import Final

from muster_kit.db import RoomTransaction
from muster_kit.errors import MusterError, Reason
from sqlalchemy import Select, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert

from muster_session.model_blocks import Block, BlockBody, BlockPlace, BlockStatus
from muster_session.store_rows import block_of, block_values
from muster_session.tables import BLOCK, SESSION

_PLACE: Final = text("""
UPDATE session.block AS block SET position = placed.position
FROM unnest(CAST(:block_ids AS text[])) WITH ORDINALITY AS placed (block_id, position)
WHERE block.block_id = placed.block_id AND block.session_id = :session_id
  AND block.position <> placed.position
""")


class PostgresBlocks:
    """`BlockRows` in the table `block`; keeps the session's count of blocks."""

    def __init__(self, transaction: RoomTransaction) -> None:
        self._connection = transaction.connection
        self._organization_id = transaction.organization_id
        self._session_id = transaction.room_id
        self._is_ours = BLOCK.c.session_id == transaction.room_id

    async def get(self, block_id: str) -> Block:
        """Return a block, which must be there."""
        return await self._one(select(BLOCK).where(self._is_ours, BLOCK.c.block_id == block_id))

    async def next_pending(self) -> Block:
        """Return the first pending block."""
        query = select(BLOCK).where(self._is_ours, BLOCK.c.status == BlockStatus.PENDING.value)
        return await self._one(query.order_by(BLOCK.c.position).limit(1))

    async def active(self) -> Sequence[Block]:
        """Return the active blocks, in the order they were opened."""
        query = select(BLOCK).where(self._is_ours, BLOCK.c.status == BlockStatus.ACTIVE.value)
        rows = await self._connection.execute(query.order_by(BLOCK.c.open_time, BLOCK.c.block_id))
        return [block_of(row) for row in rows]

    async def places(self) -> Sequence[BlockPlace]:
        """Return all blocks without their content."""
        query = select(BLOCK.c.block_id, BLOCK.c.position, BLOCK.c.status).where(self._is_ours)
        rows = await self._connection.execute(query.order_by(BLOCK.c.position))
        return [BlockPlace(row.block_id, row.position, BlockStatus(row.status)) for row in rows]

    async def add(self, blocks: Sequence[tuple[str, BlockBody]], position: int) -> Sequence[Block]:
        """Store blocks; those from `position` on move behind them. ALREADY_EXISTS for an id that is taken."""
        await self._move(position, len(blocks))
        added = [
            Block(block_id=block_id, session_id=self._session_id, position=place, body=body)
            for place, (block_id, body) in enumerate(blocks, start=position)
        ]
        rows = [
            {
                "block_id": block.block_id,
                "session_id": block.session_id,
                "organization_id": self._organization_id,
                "position": block.position,
                "revision": block.revision,
                **block_values(block),
            }
            for block in added
        ]
        # Whose the other block is, is not ours to see; that there is one shows in what is not inserted.
        statement = insert(BLOCK).on_conflict_do_nothing(index_elements=[BLOCK.c.block_id])
        inserted = await self._connection.execute(statement.returning(BLOCK.c.block_id), rows)
        if len(inserted.all()) < len(rows):
            raise MusterError(Reason.ALREADY_EXISTS, detail="a block of this id")
        await self._count(len(blocks))
        return added

    async def save(self, block: Block) -> Block:
        """Store all of a block but its position, with the next revision."""
        statement = (
            update(BLOCK)
            .where(self._is_ours, BLOCK.c.block_id == block.block_id)
            .values(revision=BLOCK.c.revision + 1, **block_values(block))
            .returning(BLOCK)
        )
        return block_of((await self._connection.execute(statement)).one())

    async def remove(self, block: Block) -> None:
        """Remove a block; those behind it move up."""
        await self._connection.execute(delete(BLOCK).where(self._is_ours, BLOCK.c.block_id == block.block_id))
        await self._move(block.position + 1, -1)
        await self._count(-1)

    async def place(self, block_ids: Sequence[str]) -> None:
        """Put all blocks in this order."""
        names = {"block_ids": list(block_ids), "session_id": self._session_id}
        await self._connection.execute(_PLACE, names)

    async def _one(self, query: Select[tuple[object, ...]]) -> Block:
        row = (await self._connection.execute(query)).one_or_none()
        if row is None:
            raise MusterError(Reason.NOT_FOUND)
        return block_of(row)

    async def _move(self, position: int, by: int) -> None:
        await self._connection.execute(
            update(BLOCK)
            .where(self._is_ours, BLOCK.c.position >= position)
            .values(position=BLOCK.c.position + by)
        )

    async def _count(self, by: int) -> None:
        await self._connection.execute(
            update(SESSION)
            .where(SESSION.c.session_id == self._session_id)
            .values(block_count=SESSION.c.block_count + by)
        )
