"""Runs a command as root of a small world of its own: `namespaces.py [--tmpfs DIR MB] [--no-users] COMMAND…`.

The world has its own mounts and user ids, so that a test can have a tiny disk, or a kernel that refuses
user namespaces, without the machine noticing. Needs root for all user ids; else root is the only one.
"""

import argparse
import ctypes
import os
import sys
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
SIGKILL = 9

libc = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter() -> None:
    uid, gid = os.geteuid(), os.getegid()
    whole = "0 0 65536"
    parent_reads, child_writes = os.pipe()
    child_reads, parent_writes = os.pipe()
    mapper = os.fork()
    if mapper == 0:
        # Only one outside may map more than one id.
        os.read(parent_reads, 1)
        process = Path("/proc", str(os.getppid()))
        if uid == 0:
            (process / "uid_map").write_text(whole)
            (process / "gid_map").write_text(whole)
        else:
            (process / "setgroups").write_text("deny")
            (process / "uid_map").write_text(f"0 {uid} 1")
            (process / "gid_map").write_text(f"0 {gid} 1")
        os.write(parent_writes, b"x")
        os._exit(0)
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    os.write(child_writes, b"x")
    os.read(child_reads, 1)
    os.waitpid(mapper, 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tmpfs", nargs=2)
    parser.add_argument("--no-users", action="store_true")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    parent = os.getppid()
    enter()
    if options.tmpfs:
        directory, megabytes = options.tmpfs
        size = f"size={megabytes}m,mode=755".encode()
        check(libc.mount(b"none", directory.encode(), b"tmpfs", 0, size))
    if options.no_users:
        Path("/proc/sys/user/max_user_namespaces").write_text("0")
    check(libc.prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        sys.exit("parent is gone")
    os.execv(options.command[0], options.command)


main()
