"""Who an embedded store runs as: this user, this user in a namespace, or nobody."""

import os
from dataclasses import dataclass
from pathlib import Path

from muster_stack.problem import Problem

NOBODY_ID = 65534


@dataclass(frozen=True, slots=True)
class Identity:
    """One way to run a store; `owner_id` is the user id that its files belong to."""

    name: str
    owner_id: int

    def take(self, directory: Path) -> None:
        """Give the tree under `directory` to this identity, when it belongs to another.

        Only root ever has something to give: for others a foreign owner is a Problem.
        """
        if directory.stat().st_uid == self.owner_id:
            return
        if os.geteuid() != 0:
            raise Problem(f"{directory} belongs to another user; choose another directory with --state.")
        for parent, folders, files in os.walk(directory):
            for name in (*folders, *files):
                os.chown(Path(parent, name), self.owner_id, self.owner_id, follow_symlinks=False)
        # Last, so that a walk cut short is taken up again by the next start.
        os.chown(directory, self.owner_id, self.owner_id)

    def give(self, path: Path) -> None:
        """Make one file or directory, just made by us, this identity's."""
        if path.stat().st_uid != self.owner_id:
            os.chown(path, self.owner_id, self.owner_id)

    def reaches(self, path: Path) -> bool:
        """Whether every directory above `path` lets this identity through."""
        if self.owner_id == os.geteuid():
            return True
        return all(parent.stat().st_mode & 0o001 for parent in path.resolve().parents)


OURSELVES = Identity("self", os.geteuid())


def candidates() -> list[Identity]:
    """The identities to try, best first. PostgreSQL refuses to run as root, so root has to become less."""
    if OURSELVES.owner_id != 0:
        return [OURSELVES]
    return [Identity("namespace", 0), Identity(f"{NOBODY_ID}:{NOBODY_ID}", NOBODY_ID)]
