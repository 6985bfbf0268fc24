"""A proxy in front of PostgreSQL that cuts connections at a statement, and counts round trips."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import make_url

_HEADER = 5


class CuttingProxy:
    """Forwards the connections to the database of `url`, which has a socket in a directory."""

    def __init__(self, url: str, directory: Path) -> None:
        self._url = make_url(url)
        self._directory = directory
        self._socket = f".s.PGSQL.{self._url.query['port']}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._marker = b""
        self._delivers = False
        self.round_trips = 0
        self.cuts = 0
        self.was_cut = asyncio.Event()

    @property
    def url(self) -> str:
        """The database's address through here."""
        return self._url.update_query_dict({"host": str(self._directory)}).render_as_string(
            hide_password=False
        )

    def cut_at(self, marker: bytes, *, delivers: bool) -> None:
        """Cut the next connection that sends `marker`; if it `delivers`, once PostgreSQL has answered."""
        self._marker = marker
        self._delivers = delivers
        self.was_cut.clear()

    def cut_all(self) -> None:
        """Cut every connection, whatever it is doing."""
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._serve, self._directory / self._socket)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.cut_all()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host = str(self._url.query["host"])
        try:
            upstream_reader, upstream_writer = await asyncio.open_unix_connection(f"{host}/{self._socket}")
        except OSError:
            writer.close()
            raise
        writers = {writer, upstream_writer}
        self._writers |= writers
        connection = _Connection(self, writer, upstream_writer)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(connection.send(reader))
                tasks.create_task(connection.receive(upstream_reader))
        finally:
            for each in writers:
                each.close()
            self._writers -= writers

    def _takes(self, data: bytes) -> bool:
        """Whether this is what to cut at; only once."""
        if not self._marker or self._marker not in data:
            return False
        self._marker = b""
        self.cuts += 1
        self.was_cut.set()
        return True


class _Connection:
    def __init__(
        self, proxy: CuttingProxy, client: asyncio.StreamWriter, server: asyncio.StreamWriter
    ) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._unread = bytearray()
        self._has_started = False
        self._cut_at_answer = False

    async def send(self, reader: asyncio.StreamReader) -> None:
        """Forward what the client sends."""
        while data := await _read(reader):
            self._count(data)
            if self._proxy._takes(data):
                if not self._proxy._delivers:
                    break
                self._cut_at_answer = True
            self._server.write(data)
        self._server.close()

    async def receive(self, reader: asyncio.StreamReader) -> None:
        """Forward what the server sends."""
        while data := await _read(reader):
            if self._cut_at_answer:
                break
            self._client.write(data)
        self._client.close()

    def _count(self, data: bytes) -> None:
        self._unread += data
        if not self._has_started:
            # The first message has no type.
            self._has_started = True
            self._unread.clear()
        while len(self._unread) >= _HEADER:
            length = 1 + int.from_bytes(self._unread[1:_HEADER], "big")
            if len(self._unread) < length:
                return
            # Query or Sync: what PostgreSQL answers with ReadyForQuery.
            self._proxy.round_trips += self._unread[0] in b"QS"
            del self._unread[:length]


async def _read(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read(65536)
    except ConnectionError:
        return b""
