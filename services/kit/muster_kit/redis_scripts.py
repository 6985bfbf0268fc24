"""Runs Lua scripts in Redis, which are sent when it does not know them."""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import (
    AskError,
    ClusterError,
    NoScriptError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from muster_kit.errors import MusterError, Reason

_RETRY_AFTER: Final = timedelta(seconds=1)

# A server in trouble answers with errors too; whatever else it refuses is a fault of the script.
_TROUBLES: Final = (AskError, ClusterError, OutOfMemoryError, ReadOnlyError, TryAgainError)
_TROUBLE_CODES: Final = ("BUSY", "MASTERDOWN", "MISCONF", "NOREPLICAS", "UNKILLABLE")

Argument: TypeAlias = bytes | str | int
FollowUp: TypeAlias = Callable[[Pipeline], None]

_log = structlog.get_logger(__name__)


class Script:
    """A script, known to Redis by its digest once it was loaded there."""

    def __init__(self, folder: Path, *names: str) -> None:
        """It is what the files of these names say, one after the other; the last is its own."""
        self.name = names[-1]
        self.source = "".join((folder / f"{name}.lua").read_text(encoding="utf-8") for name in names)
        self.digest = hashlib.sha1(self.source.encode(), usedforsecurity=False).hexdigest()
        self.is_faulty = False
        """Whether it failed when it was last run: that is said once."""


@dataclass(frozen=True, slots=True)
class Command:
    """A script with its keys and arguments."""

    script: Script
    keys: Sequence[str]
    arguments: Sequence[Argument]

    def send_to(self, redis: "Redis | Pipeline") -> Awaitable[Any]:
        """Have it run; within a pipeline, with others."""
        return redis.evalsha(self.script.digest, len(self.keys), *self.keys, *self.arguments)


async def run(redis: Redis, command: Command) -> Any:
    """Return what a script returns; MusterError UNAVAILABLE while Redis is away, INTERNAL when it fails."""
    (reply,) = await run_all(redis, [command])
    return require(command, reply)


async def run_all(redis: Redis, commands: Sequence[Command], *, follow: FollowUp | None = None) -> list[Any]:
    """Run scripts in one round trip; return what each returns, or the error of one that failed.

    `follow` puts into the same pipeline what comes after them, also when they had to be run again; of a
    cluster, no node waits for another.
    Raises MusterError UNAVAILABLE while Redis is away.
    """
    replies = await _run_once(redis, commands, follow)
    unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
    if unknown:
        for script in {commands[index].script for index in unknown}:
            await answer(redis.script_load(script.source))
        again = await _run_once(redis, [commands[index] for index in unknown], follow)
        for index, reply in zip(unknown, again, strict=True):
            if isinstance(reply, NoScriptError):
                # Of a cluster, another node has the keys meanwhile; it learns the script next time.
                raise _away(reply) from reply
            replies[index] = reply
    return replies


def has_failed(command: Command, reply: Any) -> bool:
    """Tell whether a reply is the error of a script, and log the first of several."""
    script, is_faulty = command.script, isinstance(reply, RedisError)
    if is_faulty and not script.is_faulty:
        _log.error("script_failed", script=script.name, error=str(reply))
    script.is_faulty = is_faulty
    return is_faulty


def require(command: Command, reply: Any) -> Any:
    """Return the reply; a script that failed is MusterError INTERNAL."""
    if has_failed(command, reply):
        raise MusterError(Reason.INTERNAL, detail=f"script {command.script.name}: {reply}") from reply
    return reply


async def answer(reply: Awaitable[Any]) -> Any:
    """Return the reply; a Redis that is away, or in no state to serve, is UNAVAILABLE."""
    try:
        return await reply
    except (RedisError, OSError) as error:
        if _is_trouble(error):
            raise _away(error) from error
        raise


def _is_trouble(error: Exception) -> bool:
    """Tell whether an error is of a Redis that is away, or in no state to serve."""
    if isinstance(error, ResponseError) and not isinstance(error, _TROUBLES):
        return str(error).startswith(_TROUBLE_CODES)
    return isinstance(error, RedisError | OSError)


def _away(error: Exception) -> MusterError:
    """Return the error to raise for one that is trouble."""
    return MusterError(Reason.UNAVAILABLE, retry_after=_RETRY_AFTER, detail=repr(error))


async def _run_once(redis: Redis, commands: Sequence[Command], follow: FollowUp | None) -> list[Any]:
    if len(commands) == 1 and follow is None:
        return [await _run_alone(redis, commands[0])]
    pipeline = redis.pipeline(transaction=False)
    for command in commands:
        command.send_to(pipeline)
    if follow is not None:
        follow(pipeline)
    replies: list[Any] = await answer(pipeline.execute(raise_on_error=False))
    for reply in replies:
        if isinstance(reply, Exception) and _is_trouble(reply):
            raise _away(reply) from reply
    return replies[: len(commands)]


async def _run_alone(redis: Redis, command: Command) -> Any:
    # A pipeline of one costs this process a third more than the call by itself.
    try:
        return await answer(command.send_to(redis))
    except RedisError as error:
        return error
