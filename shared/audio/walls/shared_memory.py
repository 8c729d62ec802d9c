"""A file in shared memory: written once, and read by processes that are given its descriptor."""

import mmap
import os


class SharedFile:
    """Owned by one holder at a time, which closes it or passes it on."""

    def __init__(self, content: bytes) -> None:
        self.size_bytes = len(content)
        self.descriptor = os.memfd_create("audio")
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(self.descriptor, view) :]
        except OSError:
            self.close()
            raise

    def mapped(self) -> mmap.mmap | bytes:
        """Its bytes, without a copy; gone when nobody looks at them any more, also after `close`."""
        return mmap.mmap(self.descriptor, self.size_bytes, prot=mmap.PROT_READ) if self.size_bytes else b""

    def close(self) -> None:
        """Let it go. Safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class SharedBuffer:
    """Room for `rows` of `capacity` float32 samples, all zero. Memory is taken as it is written to: unused room costs nothing."""

    def __init__(self, rows: int, capacity: int) -> None:
        self.rows, self.capacity = rows, capacity
        self.descriptor = os.memfd_create("sound")
        os.ftruncate(self.descriptor, self._size_bytes)

    @property
    def _size_bytes(self) -> int:
        return 4 * self.rows * self.capacity

    def mapped(self) -> mmap.mmap:
        """To read and to write; it lives as long as somebody looks at it, also after `close`."""
        return mmap.mmap(self.descriptor, self._size_bytes)

    def close(self) -> None:
        """Let it go. Safe to call twice."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
