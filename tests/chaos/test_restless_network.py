"""Calls are repeated, delayed and cut on their way: what is left is what a quiet network would have left."""

import uuid
from collections.abc import Callable
from typing import Final

import pytest

from tests.chaos.conftest import Scale
from tests.chaos.history import check_agreement, check_log
from tests.chaos.ledger import Ledger
from tests.chaos.machine import Machine
from tests.chaos.people import Person
from tests.chaos.restless_proxy import RestlessProxy
from tests.chaos.resuming import check_resumable
from tests.chaos.story import BLOCKS, PLAYERS, Outcome, Story

SHARE: Final = 0.1
SEED: Final = 4
TROUBLES: Final = ("repeated", "delayed", "cut before", "cut after", "stream cut")


async def tell(machine: Machine, address: str) -> tuple[Outcome, Story]:
    """Play the story over an address, check what everybody saw of it, and return what is left of it."""
    label = uuid.uuid4().hex[:12]
    story = Story(machine.running, address, label=label)
    token = machine.running.user_token("host", role="editor", organization=f"story-{label}")
    reader = Person.on(machine.address, "reader", token)
    try:
        await story.play()
        ledger = Ledger(machine, story.session_id)
        await ledger.check_sums()
        outcome = await story.outcome(ledger, reader)
        log = await ledger.log()
        assert list(log) == list(range(1, len(log) + 1))
        assert [fault for history in story.histories for fault in check_log(history)] == []
        stayed = [history for history in story.histories if history.client != "player-00"]
        assert [fault for history in stayed for fault in check_log(history, log)] == []
        assert check_agreement(story.histories) == []
        for number, history in enumerate(story.histories[:3]):
            await check_resumable(reader, story.session_id, history, log, samples=5, seed=number)
    finally:
        await story.close()
        await reader.close()
    return outcome, story


@pytest.fixture(scope="module")
async def clean(machine: Machine) -> Outcome:
    """What is left of the story when nothing befalls any call."""
    outcome, story = await tell(machine, machine.address)
    calls = sum((person.calls for person in (story.host, *story.players)), start=story.host.calls.copy())
    assert "UNAVAILABLE" not in calls
    return outcome


def test_the_story_tells_players_apart(clean: Outcome) -> None:
    assert len(clean.participants) == PLAYERS
    # All but the one who was sent away, in all rounds but the skipped one.
    assert len(clean.answers) == (PLAYERS - 1) * (BLOCKS - 1)
    assert any(from_draft for _, _, from_draft in clean.answers.values())
    # Ties would be broken by who was faster, which is another in every run.
    assert len({score for _, score in clean.board}) == len(clean.board) == PLAYERS - 1


async def test_a_network_that_repeats_delays_and_cuts_changes_nothing(
    machine: Machine, clean: Outcome, scale: Scale, figure: Callable[[str, object], None]
) -> None:
    for seed in range(SEED, SEED + max(1, scale.rounds)):
        async with RestlessProxy(machine.address, seed=seed, share=SHARE) as proxy:
            outcome, _ = await tell(machine, proxy.address)
            assert proxy.unequal == []
            assert all(proxy.met[trouble] for trouble in TROUBLES), proxy.met
        assert outcome == clean, f"with seed {seed}"
        if seed - SEED < 3:
            figure(f"seed {seed}", dict(proxy.met))
