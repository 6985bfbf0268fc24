"""Has the allocator give back what a worker needed for a moment."""

import ctypes
from typing import Final

# As in glibc's malloc.h.
_M_MMAP_THRESHOLD: Final = -3
_LARGE_BYTES: Final = 64 << 10


def give_back_large_blocks() -> None:
    """From now on, return blocks of 64 KB and more to the system as soon as they are freed; for glibc only.

    When a class comes at once, a worker writes hundreds of large snapshots within a moment. glibc carves
    them out of the heap, where streams' objects settle between them: the holes would stay for good.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
