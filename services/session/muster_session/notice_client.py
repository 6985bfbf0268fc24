"""The inboxes of users as the session reaches them: over presence's contract, with a service's token."""

import hashlib
from collections.abc import Sequence
from typing import Final

import grpc
from muster.presence.v1 import inbox_pb2, scope_pb2
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_kit.rpc.tokens import ServiceTokens

from muster_session.model_notices import Stage, Start
from muster_session.service_calls import asked

# What is asked holds a place among those that fire deadlines: it may not hold it for long.
_SECONDS: Final = 2.0

_STAGES: Final = {
    Stage.SCHEDULED: inbox_pb2.START_STAGE_SCHEDULED,
    Stage.OPEN: inbox_pb2.START_STAGE_OPEN,
    Stage.STARTED: inbox_pb2.START_STAGE_STARTED,
    Stage.ENDED: inbox_pb2.START_STAGE_ENDED,
    Stage.CANCELLED: inbox_pb2.START_STAGE_CANCELLED,
}


class NoticeClient:
    """`Inboxes` over a channel to the presence service."""

    def __init__(self, channel: grpc.aio.Channel, tokens: ServiceTokens | None) -> None:
        self._presence = PresenceServiceStub(channel)
        self._tokens = tokens

    async def tell(self, organization_id: str, start: Start, user_ids: Sequence[str]) -> None:
        """Put into inboxes where a session stands."""
        scope = scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_SESSION, scope_id=start.session_id)
        notice = inbox_pb2.StartNotice(
            scope=scope, title=start.title, stage=_STAGES[start.stage], stage_time=start.stage_time
        )
        request = pb.NotifyRequest(organization_id=organization_id, user_ids=user_ids, start=notice)
        # Who is told may be others when it is repeated: then it is another request.
        digest = hashlib.sha256(request.SerializeToString(deterministic=True))
        request.request_id = digest.hexdigest()[:32]
        metadata = self._tokens.metadata(organization_id) if self._tokens else ()
        await asked(self._presence.Notify(request, metadata=metadata, timeout=_SECONDS), service="presence")
