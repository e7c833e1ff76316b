"""Keeping freed memory for what is allocated next."""
import ctypes

#: Options of ``mallopt``, from malloc.h of the GNU C library.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: The largest value that M_MMAP_THRESHOLD takes.
LARGEST_KEPT = 32 << 20


def keep_freed_memory() -> bool:
    """Let this process keep memory that it frees, up to blocks of 32 MiB.

    The GNU C library returns large blocks to the system, as feature maps on a
    CPU often are, and the system clears those that it hands out, page by
    page. A step of training frees what the next one asks for again: what
    keeping it gains is the case ``kept-memory`` of docs/benchmarks.md.

    Returns:
        bool: Whether it took effect; other C libraries have no such options.
    """
    mallopt = getattr(ctypes.CDLL(None), 'mallopt', None)
    if mallopt is None:
        return False
    return bool(
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        and mallopt(M_TRIM_THRESHOLD, -1))
