"""Figures with their spread, and what they are held against."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Target:
    """A bound that a figure has to keep."""

    bound: float
    at_least: bool

    def met(self, value: float) -> bool:
        """Whether the value keeps it."""
        return value >= self.bound if self.at_least else value <= self.bound


def at_least(bound: float) -> Target:
    """The figure must not be smaller."""
    return Target(bound, at_least=True)


def at_most(bound: float) -> Target:
    """The figure must not be larger."""
    return Target(bound, at_least=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured, once a round; its value is the median. Without a target it only informs."""

    label: str
    samples: Sequence[float]
    unit: str
    target: Target | None = None

    @property
    def value(self) -> float:
        """The median of the rounds."""
        return statistics.median(self.samples)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without one."""
        return None if self.target is None else self.target.met(self.value)


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one row; `failure` says in one sentence why there are no figures."""

    number: str
    title: str
    figures: Sequence[Figure]
    seconds: float
    load_average: float
    failure: str = ""

    @property
    def met(self) -> bool:
        """Whether the row was measured and keeps all its targets."""
        return not self.failure and all(figure.met is not False for figure in self.figures)


def shown(value: float, unit: str) -> str:
    """A value for people: three digits that count."""
    if value >= 1000:
        text = f"{value:,.0f}"
    elif value >= 100:
        text = f"{value:.0f}"
    elif value >= 10:
        text = f"{value:.1f}"
    else:
        text = f"{value:.2f}"
    return text + ("" if unit == "×" else " ") + unit
