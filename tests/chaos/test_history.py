"""The checker of histories: silent about what a server may do, loud about each thing it may not."""

from dataclasses import replace

import pytest
from muster_kit.streams.cursor import Cursor

from tests.chaos.history import Flaw, History, Opened, Seen, check_agreement, check_log, check_views

EPOCH, OTHER_EPOCH = 7, 8


def at(seq: int, epoch: int = EPOCH) -> bytes:
    return Cursor(epoch, seq).encode()


def events(*seqs: int, cursor: bytes | None = None) -> Seen:
    numbered = tuple((seq, b"event %d" % seq) for seq in seqs)
    return Seen("events", at(seqs[-1]) if cursor is None else cursor, numbered)


def snapshot(seq: int, epoch: int = EPOCH) -> Seen:
    return Seen("snapshot", at(seq, epoch))


def view(version: int, *, full: bool = False) -> Seen:
    return Seen("view", version=version, is_full=full)


def flaws(*entries: Opened | Seen) -> set[Flaw]:
    return {fault.flaw for fault in check_log(History("ann", list(entries)))}


START, RESET, HEARTBEAT = Opened(b""), Seen("reset"), Seen("heartbeat", at(5))
LOG = {seq: b"event %d" % seq for seq in range(1, 10)}


def test_a_stream_with_all_that_may_happen_is_sound() -> None:
    history = History(
        "ann",
        [
            START,
            snapshot(3),
            Seen("view", at(3)),
            events(4, 5),
            HEARTBEAT,
            Opened(at(5)),
            events(6),
            Seen("lag", at(6)),
            RESET,
            snapshot(7),
            events(8),
            Seen("reconnect", at(8)),
            Opened(at(8)),
            events(9),
        ],
    )
    assert check_log(history, LOG) == []


@pytest.mark.parametrize(
    ("flaw", "entries"),
    [
        (Flaw.GAP, [START, snapshot(3), events(4, 6)]),
        (Flaw.GAP, [START, snapshot(3), events(5)]),
        (Flaw.GAP, [START, snapshot(3), events(4), Opened(at(4)), events(6)]),
        (Flaw.DOUBLE, [START, snapshot(3), events(4), events(4)]),
        (Flaw.DOUBLE, [START, snapshot(3), events(3, 4)]),
        (Flaw.DOUBLE, [START, snapshot(3), events(4, 5), Opened(at(5)), events(5, 6)]),
        (Flaw.REORDERED, [START, snapshot(3), events(4, 6, 5, 7)]),
        (Flaw.FOREIGN, [START, snapshot(3), events(4, cursor=at(4, OTHER_EPOCH))]),
        (Flaw.FOREIGN, [START, snapshot(3), Seen("heartbeat", at(3, OTHER_EPOCH))]),
        (Flaw.CURSOR, [START, snapshot(3), events(4, cursor=at(5))]),
        (Flaw.CURSOR, [START, snapshot(3), events(4, cursor=at(3))]),
        (Flaw.CURSOR, [START, snapshot(3), HEARTBEAT]),
        (Flaw.CURSOR, [START, snapshot(3), Seen("lag", b"nonsense")]),
        (Flaw.CURSOR, [START, snapshot(3), events(4, cursor=b"")]),
        (Flaw.CURSOR, [START, Seen("snapshot")]),
        (Flaw.BOOKMARK, [START, snapshot(3), events(4), Opened(at(3)), events(4)]),
        (Flaw.BOOKMARK, [START, snapshot(3), Opened(b""), snapshot(3)]),
        (Flaw.BASELESS, [START, events(1)]),
        (Flaw.BASELESS, [START, snapshot(3), RESET, events(4)]),
        (Flaw.BASELESS, [START, snapshot(3), snapshot(4)]),
    ],
)
def test_what_no_server_may_do_is_found(flaw: Flaw, entries: list[Opened | Seen]) -> None:
    assert flaw in flaws(*entries)


@pytest.mark.parametrize("broken", range(3, 8))
@pytest.mark.parametrize("how", ["left out", "doubled", "swapped"])
def test_one_broken_frame_anywhere_in_a_long_stream_is_found(broken: int, how: str) -> None:
    entries: list[Opened | Seen] = [START, snapshot(0), *(events(seq) for seq in range(1, 10))]
    assert check_log(History("ann", list(entries)), LOG) == []
    match how:
        case "left out":
            del entries[broken]
        case "doubled":
            entries.insert(broken, entries[broken])
        case "swapped":
            entries[broken], entries[broken + 1] = entries[broken + 1], entries[broken]
    assert check_log(History("ann", entries))


def test_an_event_that_never_came_is_missed_at_the_end() -> None:
    history = History("ann", [START, snapshot(3), events(4, 5, 6, 7, 8)])
    assert [fault.flaw for fault in check_log(history, LOG)] == [Flaw.MISSING]


def test_an_event_that_is_not_as_in_the_log_is_found() -> None:
    history = History("ann", [START, snapshot(8), Seen("events", at(9), ((9, b"another"),))])
    assert [fault.flaw for fault in check_log(history, LOG)] == [Flaw.DISAGREEMENT]


def test_two_clients_who_saw_different_things_disagree() -> None:
    ann = History("ann", [START, snapshot(3), events(4)])
    ben = replace(ann, client="ben", entries=[START, snapshot(3), Seen("events", at(4), ((4, b"another"),))])
    assert check_agreement([ann, ann]) == []
    assert [fault.flaw for fault in check_agreement([ann, ben])] == [Flaw.DISAGREEMENT]


def test_a_request_with_two_answers_is_found() -> None:
    history = History("ann")
    history.answered("1", b"yes")
    history.answered("1", b"yes")
    assert check_log(history) == []
    history.answered("1", b"no")
    assert [fault.flaw for fault in check_log(history)] == [Flaw.DISAGREEMENT]


def test_views_that_can_be_applied_are_sound() -> None:
    entries = [START, view(3, full=True), view(4), RESET, view(1, full=True), Opened(b""), view(1, full=True)]
    assert check_views(History("ann", entries)) == []


@pytest.mark.parametrize(
    "entries",
    [
        [START, view(3)],
        [START, view(3, full=True), view(3)],
        [START, view(3, full=True), view(2)],
        [START, view(3, full=True), RESET, view(4)],
        [START, view(3, full=True), Opened(b""), view(4)],
    ],
)
def test_views_that_cannot_be_applied_are_found(entries: list[Opened | Seen]) -> None:
    assert {fault.flaw for fault in check_views(History("ann", entries))} == {Flaw.VIEW}
