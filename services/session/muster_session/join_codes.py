"""Join codes: what they look like, how long they must be, and what people make of them when typing."""

import secrets
from typing import Final

ALPHABET: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""31 characters; those that are mistaken for one another (0 and O; 1, I and L) are left out."""

SHORTEST: Final = 6

_LEFT_OUT: Final = str.maketrans("", "", " -\t\u00a0\u2009\u2010\u2011\u2013")


def code_length(live_codes: int, guesses_per_day: int) -> int:
    """Return how long a new code must be so that a day of guessing finds less than one live code.

    Each guess hits with probability `live_codes` / 31^length; `guesses_per_day` is the most that
    the limits let through. The code that is about to be made counts as live.
    """
    length = SHORTEST
    while (live_codes + 1) * guesses_per_day >= len(ALPHABET) ** length:
        length += 1
    return length


def new_code(length: int) -> str:
    """Return a random code that nobody can foresee."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def normalize(typed: str) -> str:
    """Return the code somebody typed, in whatever case and with whatever spaces and hyphens."""
    return typed.upper().translate(_LEFT_OUT)
