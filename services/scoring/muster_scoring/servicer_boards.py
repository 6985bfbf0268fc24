"""BoardService: boards of sessions, read and watched."""

from muster.scoring.v1 import board_service_pb2 as pb
from muster_kit.paging import Pages
from muster_kit.rpc.call import Call

from muster_scoring import convert_boards
from muster_scoring.model_board import Position
from muster_scoring.usecases_boards import Boards
from muster_scoring.usecases_watch import Extent, Watches


class BoardServicer:
    """What can be seen of boards; those that services make themselves come later."""

    def __init__(self, boards: Boards, watches: Watches) -> None:
        self._boards = boards
        self._watches = watches

    async def GetBoard(self, request: pb.GetBoardRequest, call: Call) -> pb.GetBoardResponse:
        """Read a board's settings."""
        info = await self._boards.info(call.caller, request.board_id)
        return pb.GetBoardResponse(board=convert_boards.board_to_proto(info))

    async def ListEntries(self, request: pb.ListEntriesRequest, call: Call) -> bytes:
        """List a board from the top."""
        pages = Pages("entries", request.board_id)
        page, next_position = await self._boards.page(
            call.caller,
            request.board_id,
            after=pages.after(request.page_token, Position.decode),
            page_size=request.page_size,
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
