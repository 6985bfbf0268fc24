"""Scores to PostgreSQL: a batch of them in one round trip, and in one transaction."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

from muster_scoring import statements_scores
from muster_scoring.model_scoreboards import (
    EntryShown,
    Operator,
    ResetSchedule,
    Score,
    Scoreboard,
    ScoreUnit,
    ScoreVerdict,
)
from muster_scoring.store_scores import BoardWritten, EntryWritten, Told, Written
from muster_scoring.store_writer import WriterConnection

_UNIT: Final = 1
_BOARD: Final = 2
_ENTRY: Final = 3

_version = attrgetter("version")

_VERDICTS: Final = {verdict.value: verdict for verdict in ScoreVerdict}


class PostgresScores:
    """The ScoreStore: one connection of the writer's role, made when first needed."""

    def __init__(self, url: str) -> None:
        """`url` is the address of the writer's role."""
        self._connection = WriterConnection(url)

    async def submit(self, units: Sequence[ScoreUnit]) -> Written:
        """Add scores to boards and teams, durably, in one transaction, in their order."""
        arguments = _arguments(units)
        rows = await self._connection.run(
            lambda connection: connection.fetch(statements_scores.SUBMIT, *arguments)
        )
        return _written(units, rows)

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()


def scoreboard_of(row: Mapping[str, Any]) -> Scoreboard:
    """Return a row of `board`."""
    return Scoreboard(
        board_id=row["board_id"],
        organization_id=row["organization_id"],
        title=row["title"],
        operator=Operator(row["operator"]),
        ascending=row["ascending"],
        reset_schedule=ResetSchedule(row["reset_schedule"]),
        open_time=row["open_time"],
        close_time=row["close_time"],
        team_board_id=row["team_board_id"],
        create_time=row["create_time"],
        season=row["season"],
        season_end=row["season_end"],
        seq=row["seq"],
        floor_seq=row["floor_seq"],
    )


def _arguments(units: Sequence[ScoreUnit]) -> tuple[object, ...]:
    """Return the parameters of the function: columns, which travel much faster than rows."""
    numbers: list[int] = []
    board_ids: list[str] = []
    scores: list[Score] = []
    for number, unit in enumerate(units, start=1):
        count = len(unit.scores)
        numbers += [number] * count
        board_ids += [unit.board_id] * count
        scores += unit.scores
    entries, names, teams, values, durations, keys, fingerprints = zip(*scores, strict=True)
    return (
        [unit.board_id for unit in units],
        [unit.organization_id for unit in units],
        [unit.request_key for unit in units],
        [unit.fingerprint for unit in units],
        [unit.wants_results for unit in units],
        numbers,
        board_ids,
        entries,
        names,
        teams,
        values,
        durations,
        keys,
        fingerprints,
        any(keys),
    )


def _written(units: Sequence[ScoreUnit], rows: Sequence[Any]) -> Written:
    places = [(unit.board_id, score.entry_id) for unit in units for score in unit.scores]
    verdicts: list[ScoreVerdict] = []
    told: dict[int, Told] = {}
    boards: dict[str, BoardWritten] = {}
    entries: list[EntryWritten] = []
    begins = _begins(units)
    for row in rows:
        # By position, as the function's table has them: names are looked up too slowly for this.
        kind = row[0]
        if kind == _ENTRY:
            entries.append(_entry(row, places))
        elif kind == _UNIT:
            verdicts.append(_VERDICTS[row[2]])
            for place, result in enumerate(row[13] or (), start=begins[row[1] - 1]):
                told[place] = _told_in_batch(places[place][1], result)
        elif kind == _BOARD:
            boards[row[12]["board_id"]] = BoardWritten(scoreboard_of(row[12]), row[7])
        else:
            # What was told of a score before.
            place = row[1] - 1
            told[place] = Told(bool(row[2]), EntryShown(places[place][1], row[6], row[9], row[10], row[11]))
    entries.sort(key=_version)
    return Written(verdicts, told, boards, entries)


def _begins(units: Sequence[ScoreUnit]) -> list[int]:
    """Return the place of each unit's first score."""
    begins, place = [], 0
    for unit in units:
        begins.append(place)
        place += len(unit.scores)
    return begins


def _entry(row: Any, places: Sequence[tuple[str, str]]) -> EntryWritten:
    _, place, changed, is_last, team_board, team, name, version, reached, score, duration, count, _, _ = row
    board_id, entry_id = places[place - 1] if team is None else (team_board, team)
    return EntryWritten(
        place - 1,
        changed == 1,
        is_last,
        team is not None,
        board_id,
        version,
        reached,
        EntryShown(entry_id, name, score, duration, count),
    )


def _told_in_batch(entry_id: str, result: Any) -> Told:
    changed, name, score, duration_ms, submission_count = result
    return Told(changed, EntryShown(entry_id, name, score, duration_ms, submission_count))
