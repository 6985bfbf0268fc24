"""Names as others see them: on one line, readable, and nobody's trick."""

import unicodedata
from typing import Final

# Marks that turn the direction of the text around them: with them one name can look like another.
_BIDI: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def clean_name(name: str) -> str:
    """Return a name without control characters and needless space; empty when nothing can be seen of it.

    Joiners stay, since emoji and several scripts are written with them.
    """
    spaced = "".join(" " if c.isspace() else c for c in unicodedata.normalize("NFC", name))
    kept = "".join(c for c in spaced if c not in _BIDI and unicodedata.category(c) not in {"Cc", "Cs"})
    cleaned = " ".join(kept.split())
    return cleaned if any(unicodedata.category(c)[0] not in "CZM" for c in cleaned) else ""
