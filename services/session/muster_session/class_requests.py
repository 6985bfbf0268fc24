"""The write path of classes, which have no log and nobody who watches them: plain requests, each once."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from google.protobuf.message import Message
from muster_kit.caller import Caller
from muster_kit.db import Requests, Transaction

from muster_session.store_classes import Classes

T = TypeVar("T")


class ClassRequests:
    """Carries out use cases on the classes of the caller's organization."""

    def __init__(self, requests: Requests, bind: Callable[[Transaction], Classes]) -> None:
        """`bind` makes the store a use case works with."""
        self._requests = requests
        self._bind = bind

    async def run(
        self,
        caller: Caller,
        use_case: Callable[[Classes], Awaitable[T]],
        *,
        request: Message,
        encode: Callable[[T], Message],
    ) -> bytes:
        """Carry out a use case, once for a `request_id`; return the serialized answer.

        Raises what the use case raises, REQUEST_ID_REUSED and UNAVAILABLE.
        """
        return await self._requests.run(
            caller,
            lambda transaction: use_case(self._bind(transaction)),
            request=request,
            encode=encode,
        )
