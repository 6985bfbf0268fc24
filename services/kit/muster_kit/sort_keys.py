"""What lists by name go by, whatever the locale of the database."""

import unicodedata
from typing import Final

_SORT_BYTES: Final = 96


def sort_key(text: str) -> str:
    """Return what a list puts a title or a name by: neither case nor accents count.

    At most 96 bytes of UTF-8, so that a page token has room for it with an id.
    """
    letters = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return plain.encode()[:_SORT_BYTES].decode(errors="ignore")
