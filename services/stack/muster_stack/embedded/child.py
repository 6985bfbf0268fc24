"""Exec shim: drops root, binds the child's life to its parent's, then becomes the program.

Run by path with `python -I -S`, so it imports nothing of ours:
`child.py <parent pid> <death signal> <identity> <program> <argument>…`.
The order matters. The kernel clears the death signal whenever credentials change, so it is set after
the identity; and a parent that died before it was set would never send it, so that is checked last.
"""

import ctypes
import os
import signal
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000

# Exit codes of the shim itself, out of the way of those of shells and servers.
IDENTITY_REFUSED = 110
PARENT_GONE = 111
PROGRAM_MISSING = 112

NAMESPACED_ID = 1000


def main(arguments: list[str]) -> int:
    """Become the program; returns only when that is not possible."""
    parent, death_signal, identity, program = int(arguments[0]), int(arguments[1]), arguments[2], arguments[3]
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        assume(identity, libc)
    except OSError as error:
        sys.stderr.write(f"identity {identity} refused: {error}\n")
        return IDENTITY_REFUSED
    if libc.prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0 or os.getppid() != parent:
        return PARENT_GONE
    os.umask(0o077)
    # The interpreter ignores these, and what is ignored stays ignored across exec.
    for ignored in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored, signal.SIG_DFL)
    try:
        os.execv(program, arguments[3:])  # noqa: S606 - that is what this file is for
    except OSError as error:
        sys.stderr.write(f"{program} cannot be run: {error}\n")
        return PROGRAM_MISSING


def assume(identity: str, libc: ctypes.CDLL) -> None:
    """Take on `identity`: "self", "namespace" or "<uid>:<gid>"."""
    if identity == "self":
        return
    if identity == "namespace":
        _enter_user_namespace(libc)
        return
    uid, gid = (int(part) for part in identity.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _enter_user_namespace(libc: ctypes.CDLL) -> None:
    """Be an ordinary user in a namespace of one, while files still see who we are.

    PostgreSQL asks for its effective user id and refuses 0; nothing on the machine is changed.
    """
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{NAMESPACED_ID} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{NAMESPACED_ID} {gid} 1")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
