"""The latest lane: values of which only the newest matters, so that a slow stream skips versions."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, NamedTuple, Protocol, TypeAlias

import structlog

from muster_kit.clock import Clock
from muster_kit.streams import frames
from muster_kit.streams.background import Background

_log = structlog.get_logger(__name__)

_KEPT_DELTAS: Final = 8
_RETRY_SECONDS: Final = 0.25


class View(Protocol):
    """One version of a value; immutable."""

    @property
    def version(self) -> int:
        """Grows with every change."""
        ...

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:
        """Return the service's view message for `viewer`, or None when nothing changed for them.

        `last_version` is what this stream was given last: the answer may be what changed since, or
        the whole; None asks for the whole. The same bytes object for many streams is framed once.
        """
        ...


Compute: TypeAlias = Callable[[], Awaitable[View | None]]
"""Reads a value anew; None says that there is none to show."""


class SharedView:
    """A view that looks the same to everybody: each form of it is rendered once a process."""

    def __init__(
        self,
        version: int,
        *,
        whole: Callable[[], bytes],
        delta: Callable[[int], bytes | None] = lambda _: None,
    ) -> None:
        """`delta` returns what changed since a version, or None when only the whole will do."""
        self.version = version
        self._whole = whole
        self._delta = delta
        self._rendered: dict[int | None, bytes] = {}

    def render(self, viewer: object, last_version: int | None, /) -> bytes | None:  # noqa: ARG002 - same for all
        """Return the delta when there is one, else the whole."""
        payload = self._rendered.get(last_version)
        if payload is None:
            payload = self._make(last_version)
            if len(self._rendered) <= _KEPT_DELTAS:
                self._rendered[last_version] = payload
        return payload

    def _make(self, last_version: int | None) -> bytes:
        delta = None if last_version is None else self._delta(last_version)
        return self._whole() if delta is None else delta


class Offered:
    """The newest version of a value, and its frame.

    `change` is its number among all changes of the room's views, `ordinal` among those of its key.
    """

    __slots__ = ("_body", "_clock", "_payload", "change", "made", "ordinal", "view")

    def __init__(self, view: View, *, change: int, ordinal: int, clock: Clock) -> None:
        self.view = view
        self.change = change
        self.ordinal = ordinal
        self.made = asyncio.get_running_loop().time()
        self._clock = clock
        self._payload: bytes | None = None
        self._body = b""

    def body(self, payload: bytes) -> bytes:
        """Return the frame's body; the last one is kept, since most streams get the same payload."""
        if payload is not self._payload:
            self._payload, self._body = payload, frames.view(self._clock.now(), payload)
        return self._body


class Views:
    """The newest views of one room, by key."""

    def __init__(self, clock: Clock) -> None:
        self.changes = 0
        self.offered: dict[Hashable, Offered] = {}
        self._clock = clock

    def offer(self, key: Hashable, view: View) -> bool:
        """Replace the view of `key`; False when it is the version that is there."""
        last = self.offered.get(key)
        if last is not None and last.view.version == view.version:
            return False
        self.changes += 1
        ordinal = last.ordinal + 1 if last is not None else 0
        self.offered[key] = Offered(view, change=self.changes, ordinal=ordinal, clock=self._clock)
        return True

    def withdraw(self, key: Hashable) -> None:
        """Forget a view; streams that have it are not told."""
        self.offered.pop(key, None)


class _Given(NamedTuple):
    change: int
    ordinal: int
    version: int


class ViewLane:
    """What one stream has been given of the views of its room: a few numbers a key, never a queue."""

    __slots__ = ("_changes", "_given", "_viewer", "_views", "skipped")

    def __init__(self, views: Views, viewer: object) -> None:
        self.skipped = 0
        self._views = views
        self._viewer = viewer
        self._changes = 0
        self._given: dict[Hashable, _Given] = {}

    def restart(self) -> None:
        """Give the whole of everything again: the client dropped what it holds."""
        self._changes = 0
        self._given.clear()

    def take(self) -> tuple[bytes, float] | None:
        """Return (body, loop time made) of a view that is newer than what was given, if any."""
        if self._changes == self._views.changes:
            return None
        for key, offered in self._views.offered.items():
            last = self._given.get(key)
            if last is None or last.change != offered.change:
                self._given[key] = _Given(offered.change, offered.ordinal, offered.view.version)
                self.skipped += max(0, offered.ordinal - last.ordinal - 1) if last is not None else 0
                payload = self._render(offered.view, last)
                if payload is not None:
                    return offered.body(payload), offered.made
        self._changes = self._views.changes
        return None

    def _render(self, view: View, last: _Given | None) -> bytes | None:
        try:
            return view.render(self._viewer, None if last is None else last.version)
        except Exception:  # noqa: BLE001 - logged here
            # A view that cannot be shown to one viewer must not cost them the log.
            _log.exception("view_not_rendered", version=view.version)
            return None


class Coalesced:
    """Computes a view at most so often, however often it is touched."""

    def __init__(
        self,
        *,
        rate_per_second: float,
        compute: Compute,
        offer: Callable[[View], object],
        background: Background,
    ) -> None:
        self._pause_seconds = 1 / rate_per_second
        self._compute = compute
        self._offer = offer
        self._background = background
        self._touched = False
        self._task: asyncio.Task[None] | None = None

    def touch(self) -> None:
        """Say that the value may have changed: the first touch is shown at once, then at the rate."""
        self._touched = True
        if self._task is None or self._task.done():
            self._task = self._background.spawn(self._run(), name="coalesced_view")

    def close(self) -> None:
        """Stop computing."""
        # A cancelled task keeps where it was cut off, and so this: it must not be kept here.
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    async def _run(self) -> None:
        while self._touched:
            self._touched = False
            try:
                view = await self._compute()
            except Exception as error:  # noqa: BLE001 - a fault must not end the view for good
                _log.warning("view_not_computed", error=repr(error))
                # The value is still worth showing when the store is back.
                self._touched = True
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if view is not None:
                self._offer(view)
            await asyncio.sleep(self._pause_seconds)
