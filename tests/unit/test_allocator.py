"""The cost to a process of memory that it takes and gives back."""

import subprocess
import sys

CALLS, BLOCK_BYTES, PAGE_BYTES = 20, 72_000_000, 4096
TAKES_AND_GIVES_BACK = f"""
import resource, sys, threading
from worker.model.allocator import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def call():
    for _ in range({CALLS}):
        b"x" * {BLOCK_BYTES}

thread = threading.Thread(target=call)
thread.start()
thread.join()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def measured(how: str) -> tuple[int, int]:
    """Page faults, and the largest resident size in bytes."""
    command = [sys.executable, "-c", TAKES_AND_GIVES_BACK, how]
    faults, kilobytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(faults), 1024 * int(kilobytes)


def test_blocks_as_large_as_an_encoders_come_from_the_kernel_once() -> None:
    (kept, most_bytes), (left_alone, before_bytes) = measured("kept"), measured("left alone")
    assert left_alone - kept > 0.8 * (CALLS - 1) * BLOCK_BYTES / PAGE_BYTES
    assert most_bytes < before_bytes + BLOCK_BYTES
