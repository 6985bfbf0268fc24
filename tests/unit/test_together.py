"""A batch of which the database cannot hold something: what can be stored is."""

from collections.abc import Sequence

import pytest
from muster_kit.db.faults import UnstorableError, together
from muster_kit.errors import MusterError, Reason


class Table:
    """Holds what is not negative; a batch as a whole or not at all."""

    def __init__(self) -> None:
        self.held: list[int] = []

    async def store(self, items: Sequence[int]) -> Sequence[int]:
        if any(item < 0 for item in items):
            raise UnstorableError("a constraint")
        self.held += items
        return [2 * item for item in items]


async def test_what_cannot_be_stored_fails_alone() -> None:
    table = Table()
    outcomes = await together(table.store, [1, -2, 3, -4])
    assert [outcome for outcome in outcomes if isinstance(outcome, int)] == [2, 6]
    assert [isinstance(outcome, UnstorableError) for outcome in outcomes] == [False, True, False, True]
    assert table.held == [1, 3]


async def test_what_befalls_all_of_them_is_raised() -> None:
    async def store(_: Sequence[int]) -> Sequence[int]:
        raise MusterError(Reason.UNAVAILABLE)

    with pytest.raises(MusterError, match="UNAVAILABLE"):
        await together(store, [1, 2])
