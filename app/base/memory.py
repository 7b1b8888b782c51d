"""What memory a door holds: what it has loaded stays, and what a large answer needed is kept."""

import ctypes
import gc

# Parameters of mallopt(3). Threads share so many pools of memory, of which each keeps so much.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_KEPT_BYTES, _POOLS = 32 * 1024 * 1024, 4


def settle_memory() -> None:
    """Leave everything that is in memory now out of all later searches for garbage; keep the memory
    that one answer needed for the next.

    Modules, models and routes are some hundred thousand objects that live to the end. To search
    them again and again costs a quarter of the time of ingest. To give the memory of every page of
    rows back to the system, and to have it cleared again for the next, costs a tenth of the page.
    """
    gc.collect()
    gc.freeze()
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl and macOS have none.
        mallopt(_M_ARENA_MAX, _POOLS)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES // 2)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
