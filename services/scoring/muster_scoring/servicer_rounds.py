"""RoundService: rounds run by services, answers of participants, and what became of them."""

from collections.abc import Sequence

from muster.scoring.v1 import round_service_pb2 as pb
from muster_kit.clock import Clock
from muster_kit.paging import LARGEST_BIGINT, Pages
from muster_kit.rpc.call import Call
from muster_kit.rpc.probe import echo
from muster_kit.timestamps import time_of

from muster_scoring import convert, convert_streams
from muster_scoring.model_board import Position
from muster_scoring.store import ResponseFilter
from muster_scoring.usecases_deliveries import Deliveries
from muster_scoring.usecases_drafts import Drafts
from muster_scoring.usecases_removal import Removal
from muster_scoring.usecases_responses import Responses
from muster_scoring.usecases_results import Results
from muster_scoring.usecases_rounds import Order, Rounds
from muster_scoring.usecases_stream import ResponseStream, Told
from muster_scoring.usecases_watch import Extent, Watches

_ServiceRequest = (
    pb.OpenRoundRequest
    | pb.PauseRoundsRequest
    | pb.ResumeRoundsRequest
    | pb.CloseRoundRequest
    | pb.CancelRoundRequest
    | pb.UpdateSeatRequest
    | pb.DeleteSessionRequest
)


class RoundServicer:
    """Decodes, hands on to one use case, encodes."""

    def __init__(
        self,
        *,
        rounds: Rounds,
        responses: Responses,
        drafts: Drafts,
        deliveries: Deliveries,
        results: Results,
        removal: Removal,
        watches: Watches,
        clock: Clock,
    ) -> None:
        self._rounds = rounds
        self._responses = responses
        self._drafts = drafts
        self._deliveries = deliveries
        self._results = results
        self._removal = removal
        self._watches = watches
        self._clock = clock

    async def OpenRound(self, request: pb.OpenRoundRequest, call: Call) -> bytes:
        """Open a round."""
        return await self._rounds.open(
            _order(request, call),
            convert.open_round(request),
            lambda round_: pb.OpenRoundResponse(round=convert.round_to_proto(round_)),
        )

    async def PauseRounds(self, request: pb.PauseRoundsRequest, call: Call) -> bytes:
        """Stop the clock of a session's open rounds."""
        return await self._rounds.pause(
            _order(request, call),
            request.session_id,
            time_of(request.pause_time, "pause_time"),
            lambda rounds: pb.PauseRoundsResponse(rounds=map(convert.round_to_proto, rounds)),
        )

    async def ResumeRounds(self, request: pb.ResumeRoundsRequest, call: Call) -> bytes:
        """Let the clock of a session's paused rounds go on."""
        return await self._rounds.resume(
            _order(request, call),
            request.session_id,
            time_of(request.resume_time, "resume_time"),
            lambda rounds: pb.ResumeRoundsResponse(rounds=map(convert.round_to_proto, rounds)),
        )

    async def CloseRound(self, request: pb.CloseRoundRequest, call: Call) -> bytes:
        """Submit the drafts, settle and close a round."""
        return await self._rounds.close(
            _order(request, call),
            request.round_id,
            lambda settled: pb.CloseRoundResponse(
                round=convert.round_to_proto(settled[0]), stats=convert.stats_to_proto(settled[1])
            ),
        )

    async def CancelRound(self, request: pb.CancelRoundRequest, call: Call) -> bytes:
        """Cancel a round and take back its points."""
        return await self._rounds.cancel(
            _order(request, call),
            request.round_id,
            lambda round_: pb.CancelRoundResponse(round=convert.round_to_proto(round_)),
        )

    async def UpdateSeat(self, request: pb.UpdateSeatRequest, call: Call) -> bytes:
        """Take a seat's older tickets out of force, and show or hide it."""
        return await self._rounds.update_seat(
            _order(request, call),
            request.session_id,
            request.participant_id,
            minimum_generation=request.minimum_generation,
            hidden=request.hidden,
            encode=lambda _: pb.UpdateSeatResponse(),
        )

    async def DeleteSession(self, request: pb.DeleteSessionRequest, call: Call) -> bytes:
        """Delete all that is kept of a session."""
        return await self._removal.delete(
            _order(request, call), request.session_id, lambda _: pb.DeleteSessionResponse()
        )

    async def AcknowledgeDelivery(
        self, request: pb.AcknowledgeDeliveryRequest, call: Call
    ) -> pb.AcknowledgeDeliveryResponse:
        """Measure the round trip of a question's delivery."""
        proof = await self._deliveries.acknowledge(call.caller, request.round_id, request.delivery_stamp)
        return pb.AcknowledgeDeliveryResponse(delivery_proof=proof)

    async def SubmitResponse(
        self, request: pb.SubmitResponseRequest, call: Call
    ) -> pb.SubmitResponseResponse:
        """Answer a round."""
        submission = convert.submission(request, delivery_proof=request.delivery_proof)
        return convert.submit_reply(await self._responses.submit(call.caller, submission))

    async def StreamResponses(self, call: Call) -> None:
        """Answer over one stream."""
        one_by_one, run_by_run = convert_streams.replies, convert_streams.acknowledgement

        async def reply(run: Sequence[Told]) -> None:
            for response in one_by_one(run):
                await call.write(response)

        async def acknowledge(run: Sequence[Told]) -> None:
            await call.write(run_by_run(run))

        write = reply if call.caller.is_ticket else acknowledge
        given = convert_streams.sequenced(call.caller, call.requests())
        await ResponseStream(self._responses, call.caller, write).serve(given)

    async def SaveDraft(self, request: pb.SaveDraftRequest, call: Call) -> pb.SaveDraftResponse:
        """Keep a draft."""
        response = pb.SaveDraftResponse()
        saved_time = await self._drafts.save(call.caller, convert.submission(request))
        convert.put_time(response.save_time, saved_time)
        return response

    async def ListResponses(self, request: pb.ListResponsesRequest, call: Call) -> pb.ListResponsesResponse:
        """List answers."""
        wanted = ResponseFilter(request.session_id, request.round_id, request.participant_id)
        scope = request.session_id, request.round_id, request.participant_id
        pages = Pages("responses", *scope, page_size=request.page_size)
        page = await self._results.responses(
            call.caller,
            wanted,
            after_seq=pages.number(request.page_token, largest=LARGEST_BIGINT),
            page_size=pages.size,
        )
        response = pb.ListResponsesResponse()
        for shown in page.responses:
            convert.put_response(response.responses.add(), shown)
        if page.next_seq is not None:
            response.next_page_token = pages.token(page.next_seq)
        return response

    async def GetRoundStats(self, request: pb.GetRoundStatsRequest, call: Call) -> pb.GetRoundStatsResponse:
        """What is known of a round's answers."""
        stats, counts_alone = await self._results.round_stats(call.caller, request.round_id)
        return pb.GetRoundStatsResponse(stats=convert.stats_to_proto(stats, counts_alone=counts_alone))

    async def WatchRounds(self, request: pb.WatchRoundsRequest, call: Call) -> None:
        """Stream the counts of a session's rounds."""
        await self._watches.rounds(
            call.caller,
            request.session_id,
            extent=Extent(request.max_frames, request.replay_only),
            write=call.write,
        )

    async def GetAnalytics(self, request: pb.GetAnalyticsRequest, call: Call) -> pb.GetAnalyticsResponse:
        """Results of a session."""
        pages = Pages("analytics", request.session_id, page_size=request.page_size)
        analytics = await self._results.analytics(
            call.caller,
            request.session_id,
            after=pages.after(request.page_token, _participant),
            page_size=pages.size,
        )
        token = ""
        if analytics.next_position is not None:
            is_unranked, position = analytics.next_position
            token = pages.token(bytes((is_unranked,)), position.encode())
        return convert.analytics_to_proto(analytics, token)

    async def Probe(self, request: pb.ProbeRequest, call: Call) -> pb.ProbeResponse:
        """Echo the client's clock and payload beside our own clock."""
        return echo(request, pb.ProbeResponse, call, self._clock)


def _order(request: _ServiceRequest, call: Call) -> Order:
    return Order(call.caller, request.organization_id, request)


def _participant(key: bytes) -> tuple[bool, Position]:
    return key[:1] != b"\0", Position.decode(key[1:])
