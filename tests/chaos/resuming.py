"""Whether every cursor that a client was ever given leads on to the next event."""

import random
from collections.abc import Mapping

from muster.session.v1 import session_service_pb2
from muster_kit.streams.cursor import Cursor

from tests.chaos.history import History
from tests.chaos.people import Person


async def check_resumable(
    reader: Person,
    session_id: str,
    history: History,
    log: Mapping[int, bytes],
    *,
    samples: int,
    seed: int,
) -> None:
    """Watch behind some of a history's cursors, and assert that the rest of the log comes, and no more."""
    cursors = history.cursors
    chosen = random.Random(seed).sample(cursors, min(samples, len(cursors)))
    for cursor in chosen:
        position = Cursor.decode(cursor)
        assert position is not None
        seen = History(reader.name)
        seen.open(cursor)
        request = session_service_pb2.WatchSessionRequest(
            session_id=session_id, after=cursor, replay_only=True
        )
        async for frame in reader.sessions.WatchSession(request, metadata=reader.metadata):
            seen.see(frame)
        assert not seen.count("reset")
        assert not seen.count("snapshot")
        rest = {seq: content for seq, content in log.items() if seq > position.seq}
        assert seen.events() == rest, f"behind {position.seq}"
