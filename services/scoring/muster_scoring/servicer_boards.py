"""BoardService: boards read and watched, and for services: made, and fed with scores."""

from collections.abc import AsyncIterator, Sequence

from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call

from muster_scoring import convert_boards, convert_scores
from muster_scoring.model_board import Position
from muster_scoring.usecases_boards import Boards
from muster_scoring.usecases_rounds import Order
from muster_scoring.usecases_score_stream import Refused, ScoreStream, Sequenced
from muster_scoring.usecases_scoreboards import Scoreboards
from muster_scoring.usecases_scores import Scores
from muster_scoring.usecases_watch import Extent, Watches


class BoardServicer:
    """Decodes, hands on to one use case, encodes."""

    def __init__(self, *, boards: Boards, scoreboards: Scoreboards, scores: Scores, watches: Watches) -> None:
        self._boards = boards
        self._scoreboards = scoreboards
        self._scores = scores
        self._watches = watches

    async def CreateBoard(self, request: pb.CreateBoardRequest, call: Call) -> bytes:
        """Make a board."""
        return await self._scoreboards.create(
            Order(call.caller, request.organization_id, request),
            convert_scores.new_board(request),
            lambda board: pb.CreateBoardResponse(board=convert_scores.scoreboard_to_proto(board)),
        )

    async def GetBoard(self, request: pb.GetBoardRequest, call: Call) -> pb.GetBoardResponse:
        """Read a board's settings."""
        info, board = await self._boards.info(call.caller, request.board_id)
        if board is None:
            return pb.GetBoardResponse(board=convert_boards.board_to_proto(info))
        return pb.GetBoardResponse(board=convert_scores.scoreboard_to_proto(board, info.entry_count))

    async def DeleteBoard(self, request: pb.DeleteBoardRequest, call: Call) -> bytes:
        """Delete a board and its entries."""
        return await self._scoreboards.delete(
            call.caller, request.board_id, request, pb.DeleteBoardResponse()
        )

    async def ResetBoard(self, request: pb.ResetBoardRequest, call: Call) -> bytes:
        """Start a board over."""
        return await self._scoreboards.reset(
            call.caller,
            request.board_id,
            request,
            lambda board: pb.ResetBoardResponse(board=convert_scores.scoreboard_to_proto(board)),
        )

    async def SubmitScore(self, request: pb.SubmitScoreRequest, call: Call) -> bytes:
        """Add a score."""
        landed = await self._scores.submit(convert_scores.one_score(request, call.caller))
        return convert_scores.submit_reply(landed.results[0])

    async def BatchSubmitScores(self, request: pb.BatchSubmitScoresRequest, call: Call) -> bytes:
        """Add scores, all or none."""
        unit = convert_scores.batch(request, call.caller)
        landed = await self._scores.submit(unit)
        return convert_scores.batch_reply(landed.results, len(unit.scores))

    async def StreamSubmitScores(self, call: Call) -> None:
        """Add scores over one stream."""

        async def acknowledge(sequence: int, refused: Sequence[Refused]) -> None:
            await call.write(convert_scores.acknowledgement(sequence, refused))

        await ScoreStream(self._scores, acknowledge).serve(_sequenced(call))

    async def ListEntries(self, request: pb.ListEntriesRequest, call: Call) -> bytes:
        """List a board from the top."""
        pages = Pages("entries", request.board_id, page_size=request.page_size)
        page, next_position = await self._boards.page(
            call.caller,
            request.board_id,
            after=pages.after(request.page_token, Position.decode),
            page_size=pages.size,
        )
        token = pages.token(next_position.encode()) if next_position else ""
        return convert_boards.list_entries(page, token)

    async def ListEntriesAround(self, request: pb.ListEntriesAroundRequest, call: Call) -> bytes:
        """List the neighbours of an entry."""
        page = await self._boards.around(
            call.caller, request.board_id, request.entry_id, radius=request.radius
        )
        return convert_boards.list_entries_around(page)

    async def GetEntry(self, request: pb.GetEntryRequest, call: Call) -> bytes:
        """Read one entry."""
        return convert_boards.get_entry(
            await self._boards.entry(call.caller, request.board_id, request.entry_id)
        )

    async def RemoveEntry(self, request: pb.RemoveEntryRequest, call: Call) -> bytes:
        """Take an entry off a board."""
        return await self._scoreboards.remove_entry(
            call.caller, request.board_id, request.entry_id, request, pb.RemoveEntryResponse()
        )

    async def WatchBoard(self, request: pb.WatchBoardRequest, call: Call) -> None:
        """Stream the top of a board and the viewer's own place."""
        await self._watches.board(
            call.caller,
            request.board_id,
            top=request.top,
            radius=request.radius,
            extent=Extent(request.max_frames, request.replay_only),
            write=call.write,
        )


async def _sequenced(call: Call) -> AsyncIterator[Sequenced]:
    async for request in call.requests():
        yield convert_scores.sequenced(request, call.caller)
