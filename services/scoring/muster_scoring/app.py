"""Composition root of the scoring service."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Final

import structlog
from google.protobuf.descriptor import FileDescriptor
from muster.scoring.v1 import attempt_service_pb2, board_service_pb2, round_service_pb2
from muster_kit.clock import CalibratedClock
from muster_kit.db import Database, Requests, Transaction, request_table, sweep_requests
from muster_kit.delivery import DeliverySeal
from muster_kit.errors import MusterError
from muster_kit.redis_client import open_redis
from muster_kit.rpc.policy import Policy
from muster_kit.rpc.service import Service
from muster_kit.settings import Settings
from muster_kit.streams import Hub, Tuning
from muster_kit.streams.background import Background
from sqlalchemy import MetaData

from muster_scoring.board_keeper import BoardKeeper
from muster_scoring.convert import Codec
from muster_scoring.convert_boards import pack_entry
from muster_scoring.convert_scores import pack_shown
from muster_scoring.policy import POLICY
from muster_scoring.round_cache import RoundCache
from muster_scoring.score_ranking import ScoreRanking
from muster_scoring.scoreboards import ScoreboardCache, ScoreboardSource
from muster_scoring.servicer_boards import BoardServicer
from muster_scoring.servicer_rounds import RoundServicer
from muster_scoring.session_boards import SessionBoards, SessionSource
from muster_scoring.session_cache import SessionCache
from muster_scoring.settings import ScoringServiceSettings
from muster_scoring.store_postgres import PostgresLedger
from muster_scoring.store_postgres_scoreboards import PostgresScoreboardLedger, PostgresScoreboards
from muster_scoring.store_postgres_scores import PostgresScores
from muster_scoring.store_redis import RedisBoards
from muster_scoring.store_redis_deliveries import RedisRoundTrips
from muster_scoring.store_responses import PostgresResponses
from muster_scoring.store_results import PostgresResults
from muster_scoring.usecases_access import Doors
from muster_scoring.usecases_boards import BoardDoors, Boards
from muster_scoring.usecases_deliveries import Deliveries
from muster_scoring.usecases_drafts import Drafts
from muster_scoring.usecases_landing import Landings
from muster_scoring.usecases_removal import Removal
from muster_scoring.usecases_responses import Responses
from muster_scoring.usecases_results import Results
from muster_scoring.usecases_rounds import Rounds
from muster_scoring.usecases_scoreboards import Scoreboards
from muster_scoring.usecases_scores import Scores
from muster_scoring.usecases_watch import Watches

SCHEMA: Final = "scoring"

_REQUEST: Final = request_table(MetaData(), SCHEMA)

_CALIBRATE_EVERY: Final = timedelta(minutes=1)
_SWEEP_SECONDS: Final = 3600.0

# An answer waits for its rank, but not for a Redis that does not answer.
_INDEX_PATIENCE: Final = timedelta(seconds=0.5)

_log = structlog.get_logger(__name__)


class ScoringApp:
    """The service, composed; see `muster_kit.app.ServiceApp`."""

    def __init__(self, settings: Settings, service_settings: ScoringServiceSettings) -> None:
        self._stores = _Stores(settings)
        stores, codec = self._stores, Codec()
        self._background = Background()
        self._clock = CalibratedClock(stores.database.now)
        tuning = Tuning(heartbeat_seconds=settings.heartbeat_seconds)
        self._hub = Hub(stores.redis, schema=SCHEMA, clock=self._clock, tuning=tuning)

        results = PostgresResults(stores.database, stores.writer_database, codec)
        self._sessions = SessionCache(results)
        doors, rounds = Doors(self._sessions), RoundCache(results)
        index = RedisBoards(stores.index_redis, schema=SCHEMA)
        source = SessionSource(results, self._sessions, pack=pack_entry)
        self._keeper = BoardKeeper(index, source)
        session_boards = SessionBoards(self._keeper, source)
        self._deliveries = Deliveries(
            DeliverySeal.from_settings(settings),
            RedisRoundTrips(stores.index_redis),
            self._clock,
            service_settings.bounds,
        )
        self._responses = Responses(
            Landings(stores.responses, session_boards),
            results,
            rounds,
            session_boards,
            self._deliveries,
            self._clock,
        )
        self._drafts = Drafts(stores.responses, rounds, self._clock)
        self._scoreboards = ScoreboardCache(stores.scoreboards)
        self._score_keeper = BoardKeeper(index, ScoreboardSource(stores.scoreboards, self._scoreboards))
        self._scores = Scores(stores.scores, ScoreRanking(self._score_keeper, pack=pack_shown))
        board_doors = BoardDoors(doors, self._keeper, self._scoreboards, self._score_keeper, self._clock)
        self._watches = Watches(self._hub, self._keeper, results, doors, board_doors, self._clock)

        def bind(transaction: Transaction) -> PostgresLedger:
            return PostgresLedger(transaction, codec, is_board=stores.scoreboards.is_board)

        requests = Requests(stores.database, _REQUEST)
        round_servicer = RoundServicer(
            rounds=Rounds(requests, session_boards, codec, bind=bind),
            responses=self._responses,
            drafts=self._drafts,
            deliveries=self._deliveries,
            results=Results(results, rounds, doors),
            removal=Removal(requests, session_boards, rounds, self._sessions, self._deliveries, bind=bind),
            watches=self._watches,
            clock=self._clock,
        )
        board_servicer = BoardServicer(
            boards=Boards(board_doors, self._sessions),
            scoreboards=Scoreboards(
                requests,
                stores.scoreboards,
                self._scoreboards,
                self._score_keeper,
                bind=PostgresScoreboardLedger,
            ),
            scores=self._scores,
            watches=self._watches,
        )
        self.services: Sequence[Service] = (
            _service(round_service_pb2.DESCRIPTOR, "RoundService", round_servicer),
            _service(board_service_pb2.DESCRIPTOR, "BoardService", board_servicer),
            _service(attempt_service_pb2.DESCRIPTOR, "AttemptService", NotServed()),
        )
        self.policy: Policy = POLICY
        self._exits = AsyncExitStack()
        self._is_serving = False

    async def start(self) -> None:
        """Learn the database's time, and listen to Redis."""
        self._exits.push_async_callback(self._stores.close)
        try:
            await self._clock.calibrate()
        except MusterError as error:
            # The machine's clock has to do until the database is back.
            _log.warning("clock_not_calibrated", error=str(error))
        self._exits.push_async_callback(self._sessions.close)
        self._exits.push_async_callback(self._scoreboards.close)
        self._exits.push_async_callback(self._keeper.close)
        self._exits.push_async_callback(self._score_keeper.close)
        await self._exits.enter_async_context(self._hub)
        self._exits.push_async_callback(self._background.close)
        # The first to end: what it has is answered with everything else still there.
        self._exits.push_async_callback(self._deliveries.close)
        self._exits.push_async_callback(self._drafts.close)
        self._exits.push_async_callback(self._responses.close)
        self._exits.push_async_callback(self._scores.close)
        self._background.spawn(self._clock.keep(_CALIBRATE_EVERY), name="keep_clock")
        self._background.spawn(self._watches.keep_checking(), name="check_sessions")
        self._background.spawn(self._sweep(), name="sweep")
        self._is_serving = True

    async def drain(self) -> None:
        """Send the watchers elsewhere; answers are taken as long as they come."""
        self._is_serving = False
        await self._hub.drain()

    async def close(self) -> None:
        """Finish what was begun and close the stores."""
        self._is_serving = False
        await self._exits.aclose()

    def ready(self) -> bool:
        """Whether calls are served; the host looks after the stores itself."""
        return self._is_serving

    async def _sweep(self) -> None:
        while True:
            try:
                await sweep_requests(self._stores.writer_database, _REQUEST)
                await self._stores.scoreboards.sweep()
            except MusterError as error:
                _log.warning("requests_not_swept", error=str(error))
            await asyncio.sleep(_SWEEP_SECONDS)


class NotServed:
    """A service of the contract of which nothing is built yet."""


class _Stores:
    """What is connected to, when it is first used."""

    def __init__(self, settings: Settings) -> None:
        pool_size = settings.database_pool_size
        self.database = Database.open(settings.database_url, pool_size=pool_size)
        # It is asked for heads and sweeps alone; answers have connections of their own.
        self.writer_database = Database.open(settings.writer_database_url, pool_size=2)
        self.responses = PostgresResponses(settings.writer_database_url)
        self.scores = PostgresScores(settings.writer_database_url)
        self.scoreboards = PostgresScoreboards(self.database, self.writer_database, pack=pack_shown)
        self.redis = open_redis(settings.redis_url)
        self.index_redis = open_redis(settings.redis_url, patience=_INDEX_PATIENCE)

    async def close(self) -> None:
        """Close all."""
        await self.index_redis.aclose()
        await self.redis.aclose()
        await self.responses.close()
        await self.scores.close()
        await self.writer_database.close()
        await self.database.close()


def build(settings: Settings, service_settings: ScoringServiceSettings | None = None) -> ScoringApp:
    """Compose the service; opens nothing. Its own settings come from the environment unless given."""
    return ScoringApp(settings, service_settings or ScoringServiceSettings())


def _service(file: FileDescriptor, name: str, servicer: object) -> Service:
    return Service(file.services_by_name[name], servicer)
