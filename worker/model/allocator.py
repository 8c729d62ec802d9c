"""Memory of a model process: the C library keeps the memory that the model frees, for the model's next call.

A layer of the encoder needs tens of megabytes for a few milliseconds (the attention's scores alone: heads x positions squared x
4 bytes, 72 MB in Whisper `base`). By default, glibc gets every block of that size from the kernel and returns it at once, and the
kernel clears it page by page. When every core encodes, that costs a quarter of the time of all cores (decision 13).
"""

import ctypes
import gc

#: Parameters of `mallopt`, from <malloc.h>.
M_TRIM_THRESHOLD, M_MMAP_MAX, M_ARENA_MAX = -1, -4, -8
#: How much free memory the process keeps; free memory above that goes back to the kernel. The largest need of a call is what the
#: decoder makes of the encoder's output: layers x 2 x windows x 1500 x width x 4 bytes, 0.9 GB for 8 windows of Whisper `small`.
KEPT_BYTES = 1 << 30


def keep_freed_memory() -> None:
    """Make this process keep freed memory. Call it before a second thread starts. Does nothing if the C library is not glibc.

    All threads share the first thread's heap, since a heap of another thread holds no block above 64 MB. No block is allocated
    outside that heap.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((M_ARENA_MAX, 1), (M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEPT_BYTES)):
            mallopt(parameter, value)


def give_back_freed_memory() -> None:
    """Give the memory that was freed so far back to the kernel. Does nothing if the C library is not glibc."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
