"""Up to where numbered changes are complete, in whatever order their ranges come."""


class Watermark:
    """Everything up to `done` is there; ranges beyond a gap wait until it is filled."""

    __slots__ = ("_early", "done")

    def __init__(self, done: int = 0) -> None:
        self.done = done
        self._early: dict[int, int] = {}

    @property
    def has_gap(self) -> bool:
        """Whether something is known to be missing."""
        return bool(self._early)

    def advance(self, first: int, last: int) -> None:
        """Note that everything after `first` up to `last` is there."""
        if first > self.done:
            self._early[first] = max(last, self._early.get(first, last))
            return
        self.done = max(self.done, last)
        while self._early and (nearest := min(self._early)) <= self.done:
            self.done = max(self.done, self._early.pop(nearest))
