"""What no client of ours sends is left out or refused."""

import struct
from collections.abc import AsyncIterator

import pytest
from muster.scoring.v1 import answer_pb2
from muster_kit.errors import Reason
from muster_kit.paging import Pages

from tests.conftest import TestStores
from tests.rpc.house import reason_of
from tests.rpc.scoring_fixtures import Scoring, open_scoring
from tests.rpc.scoring_game import choose

_UNKNOWN_FIELD = bytes((0xFA, 0x7F, 3)) + b"fat"


@pytest.fixture(scope="module")
async def scoring(stores: TestStores, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scoring]:
    async with open_scoring(stores, tmp_path_factory.mktemp("scoring"), instances=1) as scoring:
        yield scoring


async def test_fields_that_nobody_knows_are_not_kept(scoring: Scoring) -> None:
    game = scoring.game()
    ann = game.player("ann")
    answer = answer_pb2.Answer.FromString(choose("a").SerializeToString() + _UNKNOWN_FIELD)
    await ann.submit(await game.open(), answer)
    await ann.draft(await game.open(), answer)
    kept = await scoring.rows(
        "SELECT answer FROM scoring.response WHERE session_id = $1 "
        "UNION ALL SELECT answer FROM scoring.draft WHERE session_id = $1",
        game.session_id,
    )
    assert [row["answer"] for row in kept] == [choose("a").SerializeToString()] * 2


@pytest.mark.parametrize(("score", "entry_id"), [(2**63, b"\0"), (2**63, b"\xff")])
async def test_a_forged_page_token_is_refused(scoring: Scoring, score: int, entry_id: bytes) -> None:
    game = scoring.game()
    await game.open()
    position = struct.pack(">?QQQ", False, score, 0, 0) + entry_id
    token = Pages("analytics", game.session_id).token(position)
    assert await reason_of(game.analytics(page_token=token)) is Reason.PAGE_TOKEN_INVALID
