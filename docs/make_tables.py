"""Writes the tables in docs/ that are made from the code; `--check` only tells which are out of date."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from advice import ADVICE
from muster.session.v1 import session_service_pb2
from muster_kit.errors import CATALOG, Reason
from muster_kit.settings import Settings
from muster_presence.settings import PresenceServiceSettings
from muster_scoring.settings import ScoringServiceSettings
from muster_session.model import MOVES, Verb
from muster_session.settings import SessionServiceSettings

DOCS: Final = Path(__file__).parent
PROTOS: Final = DOCS.parent / "protos"

_SETTINGS: Final = {
    "MUSTER_": Settings,
    "MUSTER_SESSION_": SessionServiceSettings,
    "MUSTER_PRESENCE_": PresenceServiceSettings,
    "MUSTER_SCORING_": ScoringServiceSettings,
}


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def errors() -> str:
    """Return all reasons, in the order of the contract."""
    missing = [reason for reason in Reason if reason not in ADVICE]
    if missing:
        raise SystemExit(f"docs/advice.py says nothing about {', '.join(missing)}")
    rows = (
        (f"`{reason}`", f"`{CATALOG[reason].code}`", CATALOG[reason].message, ADVICE[reason])
        for reason in Reason
    )
    return table(("reason", "code", "message", "what to do"), rows)


def session_moves() -> str:
    """Return the moves of a session's status."""
    rows = ((f"`{old.name}`", f"`{_rpc(verb)}`", f"`{new.name}`") for (old, verb), new in MOVES.items())
    return table(("from", "by", "to"), rows)


def settings() -> str:
    """Return all settings with their defaults."""
    rows = (
        (f"`{prefix}{name.upper()}`", _default(field.default), field.description or "")
        for prefix, kind in _SETTINGS.items()
        for name, field in kind.model_fields.items()
    )
    return table(("variable", "default", "meaning"), rows)


def watches() -> str:
    """Return the watch streams, with what is particular to each."""
    return table(("stream", "events", "snapshot", "view", "other"), _watch_rows())


TABLES: Final[dict[str, Callable[[], str]]] = {
    "errors": errors,
    "session-moves": session_moves,
    "settings": settings,
    "watches": watches,
}


def fill(text: str) -> str:
    """Return the text with every table in it made anew; ValueError when one has no end."""
    for name, make in TABLES.items():
        begin, end = f"<!-- table: {name} -->\n", f"<!-- end of {name} -->"
        if begin in text:
            before, _, rest = text.partition(begin)
            _, found, after = rest.partition(end)
            if not found:
                raise ValueError(f"the table {name} has no end")
            text = f"{before}{begin}{make()}\n{end}{after}"
    return text


def main() -> int:
    """Write the tables, or check them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Write nothing; exit 1 when a table is stale.")
    check: bool = parser.parse_args().check
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        old = path.read_text(encoding="utf-8")
        new = fill(old)
        if new != old:
            stale.append(path.name)
            if not check:
                path.write_text(new, encoding="utf-8")
    if stale and check:
        sys.stderr.write(f"{', '.join(stale)} out of date: run `just docs`\n")
        return 1
    return 0


def _default(value: Any) -> str:
    if value is None or value == "":
        return "–"
    if isinstance(value, timedelta):
        return f"`{value}`"
    if isinstance(value, tuple):
        return f"`{list(value)}`"
    return f"`{json.dumps(value)}`" if isinstance(value, bool) else f"`{value}`"


def _rpc(verb: Verb) -> str:
    name = verb.name.title().replace("_", "")
    methods = session_service_pb2.DESCRIPTOR.services_by_name["SessionService"].methods_by_name
    return name if name in methods else f"{name}Session"


def _watch_rows() -> Iterator[tuple[str, ...]]:
    for service in _services():
        for method in service.methods:
            fields = method.output_type.fields_by_number
            if method.server_streaming and not method.client_streaming and 10 in fields:
                events, snapshot, view = (_kind(fields.get(number)) for number in (4, 5, 6))
                others = ", ".join(f"`{fields[n].name}` ({n})" for n in (7, 8) if n in fields)
                name = f"`{service.full_name.removeprefix('muster.')}/{method.name}`"
                yield name, events, snapshot, view, others or "–"


def _services() -> Iterator[Any]:
    for path in sorted((PROTOS / "muster").rglob("*_service.proto")):
        module = ".".join(path.relative_to(PROTOS).with_suffix("").parts)
        yield from import_module(f"{module}_pb2").DESCRIPTOR.services_by_name.values()


def _kind(field: Any) -> str:
    return f"`{field.message_type.name}`" if field else "–"


if __name__ == "__main__":
    sys.exit(main())
