"""Files and sound in shared memory: written once, and read by processes that are given a descriptor."""

import mmap
import os
import sys
import threading

CHUNK_BYTES = 1 << 20
#: The kernel takes a millisecond to free so much. More of it is freed in a thread: the caller may be an event loop.
SOON_FREED_BYTES = 4 << 20


class _Shared:
    """A descriptor of shared memory, which is let go with its last holder at the latest."""

    descriptor = -1
    size_bytes = 0

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Let it go. Safe to call twice. What has been mapped of it stays."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor < 0:
            return
        if self.size_bytes > SOON_FREED_BYTES and not sys.is_finalizing():
            threading.Thread(target=os.close, args=(descriptor,), daemon=True).start()
        else:
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class SharedFile(_Shared):
    """A file's bytes. On nobody's heap, and in nobody's memory but while they are mapped."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(os.memfd_create("audio"))
        self.size_bytes = 0
        self.append(content)

    def append(self, content: bytes) -> None:
        """More of it."""
        view = memoryview(content)
        while view:
            view = view[os.write(self.descriptor, view) :]
        self.size_bytes += len(content)

    def chunks(self) -> "list[range]":
        """Stretches of it that are small enough to be read at once."""
        return [range(at, min(at + CHUNK_BYTES, self.size_bytes)) for at in range(0, self.size_bytes, CHUNK_BYTES)]

    def read(self, stretch: range) -> bytes:
        """A copy of some of it."""
        return os.pread(self.descriptor, len(stretch), stretch.start)

    def mapped(self) -> mmap.mmap | bytes:
        """All of it, without a copy."""
        return mmap.mmap(self.descriptor, self.size_bytes, prot=mmap.PROT_READ) if self.size_bytes else b""

    def duplicate(self) -> "SharedFile":
        """The same bytes for another holder."""
        other = SharedFile.__new__(SharedFile)
        _Shared.__init__(other, os.dup(self.descriptor))
        other.size_bytes = self.size_bytes
        return other


class SharedBuffer(_Shared):
    """Room for `rows` of `capacity` float32 samples, all zero. Memory is taken as it is written to: unused room costs nothing."""

    def __init__(self, rows: int, capacity: int) -> None:
        super().__init__(os.memfd_create("sound"))
        self.rows, self.capacity = rows, capacity
        os.ftruncate(self.descriptor, self._size_bytes)

    @property
    def _size_bytes(self) -> int:
        return 4 * self.rows * self.capacity

    def mapped(self) -> mmap.mmap:
        """To read and to write; it lives as long as somebody looks at it."""
        return mmap.mmap(self.descriptor, self._size_bytes)
