"""The one kind of failure a person at the terminal is told about: a single clear sentence."""

import errno
import os
from pathlib import Path


class Problem(Exception):  # noqa: N818 - it is shown to people as it stands, not handled as an error
    """What stands in the way, as one sentence that says what to do; the command exits with 1."""

    @classmethod
    def from_os_error(cls, error: OSError, path: Path) -> "Problem":
        """The sentence for a file system that refused `path`."""
        match error.errno:
            case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
                return cls(disk_full(path))
            case errno.EACCES | errno.EPERM:
                return cls(f"{error.filename or path} may not be used by this user: {_reason(error)}.")
            case errno.EROFS:
                return cls(f"{path} is on a read-only file system; choose another with --state.")
            case errno.ENOTDIR | errno.EEXIST:
                return cls(f"{error.filename or path} is in the way: a directory is needed there.")
            case _:
                return cls(f"{error.filename or path} cannot be used: {_reason(error)}.")


def disk_full(path: Path) -> str:
    """The sentence for a disk without room, wherever it was noticed."""
    return f"The disk that holds {path} is full; free some space or choose another directory with --state."


def free_bytes(path: Path) -> int:
    """The room left for us on the disk that holds `path`; 0 when it has no room for another file."""
    disk = os.statvfs(path)
    # Some file systems have no fixed number of files, and say 0 of 0.
    if disk.f_files and not disk.f_favail:
        return 0
    return disk.f_bavail * disk.f_frsize


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
