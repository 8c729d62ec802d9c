"""Memory of a model process: the C library keeps what the model gives back, for its next call.

A layer of the encoder wants tens of megabytes for a few milliseconds (the attention's scores alone: heads x positions squared x
4 bytes, 72 MB in Whisper `base`). Left alone, glibc fetches every block of that size from the kernel and returns it at once, and
the kernel clears it page by page: a quarter of the time of all cores, when every core encodes (decision 13).
"""

import ctypes

#: What `mallopt` calls them, from <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
#: How much free memory stays with the process; the rest goes back. The most that a call takes at once is what the decoder makes
#: of the encoder's output: layers x 2 x windows x 1500 x width x 4 bytes, 0.9 GB for eight windows of Whisper `small`.
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """For this process, while it has a single thread still. Does nothing where the C library is not glibc.

    One heap for all threads, since those of other threads than the first hold no block above 64 MB; and no block apart from it.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT_BYTES)):
            mallopt(parameter, value)
