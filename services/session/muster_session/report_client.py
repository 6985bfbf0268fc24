"""Presence as the session reports to it: over its contract, with a service's token."""

from typing import Final

import grpc
from muster.presence.v1 import presence_service_pb2 as pb
from muster.presence.v1 import scope_pb2
from muster.presence.v1.presence_service_pb2_grpc import PresenceServiceStub
from muster_kit.rpc.tokens import ServiceTokens

from muster_session.model_reports import Phase, Report
from muster_session.service_calls import asked

# Presence reads the roster meanwhile. What is asked holds a place among those that fire deadlines.
_SECONDS: Final = 4.0

_PHASES: Final = {
    Phase.EXPECTED: pb.SCOPE_PHASE_EXPECTED,
    Phase.ACTIVE: pb.SCOPE_PHASE_ACTIVE,
    Phase.PAUSED: pb.SCOPE_PHASE_PAUSED,
    Phase.ENDED: pb.SCOPE_PHASE_ENDED,
    Phase.CANCELLED: pb.SCOPE_PHASE_CANCELLED,
}


class ReportClient:
    """`Register` over a channel to the presence service."""

    def __init__(self, channel: grpc.aio.Channel, tokens: ServiceTokens | None) -> None:
        self._presence = PresenceServiceStub(channel)
        self._tokens = tokens

    async def report(self, report: Report) -> None:
        """Say where a session stands."""
        session = report.session
        request = pb.ReportScopeRequest(
            organization_id=session.organization_id,
            scope=scope_pb2.Scope(kind=scope_pb2.SCOPE_KIND_SESSION, scope_id=session.session_id),
            phase=_PHASES[report.phase],
            change_time=report.change_time,
            revision=session.revision,
            title=session.settings.title,
            host_user_id=session.host_user_id,
            class_ids=session.settings.class_ids,
            active_spans=[
                pb.ActiveSpan(start_time=start, end_time=end) for start, end in report.active_spans
            ],
        )
        metadata = self._tokens.metadata(session.organization_id) if self._tokens else ()
        call = self._presence.ReportScope(request, metadata=metadata, timeout=_SECONDS)
        await asked(call, service="presence")
