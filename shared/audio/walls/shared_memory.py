"""Files and sound in shared memory: written once, and read by processes that get a descriptor."""

import mmap
import os
import sys
import threading

CHUNK_BYTES = 1 << 20
#: The kernel takes a millisecond to free this size. A larger file is freed in a thread: the caller may be an event loop.
SOON_FREED_BYTES = 4 << 20


class _Shared:
    """A descriptor of shared memory, closed when its last holder is collected, at the latest."""

    descriptor = -1
    size_bytes = 0

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        """Close the descriptor. Safe to call twice. Existing mappings stay valid.

        A large file is freed in a thread: that takes milliseconds, which an event loop may not have.
        """
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
    """A file's bytes. They are on no process's heap, and in a process's memory only while they are mapped."""

    def __init__(self, content: bytes = b"") -> None:
        super().__init__(os.memfd_create("audio"))
        self.size_bytes = 0
        self.append(content)

    def append(self, content: bytes) -> None:
        """Append bytes to the file."""
        view = memoryview(content)
        while view:
            view = view[os.write(self.descriptor, view) :]
        self.size_bytes += len(content)

    def chunks(self) -> "list[range]":
        """The file as stretches that are small enough to be read at once."""
        return [range(at, min(at + CHUNK_BYTES, self.size_bytes)) for at in range(0, self.size_bytes, CHUNK_BYTES)]

    def read(self, stretch: range) -> bytes:
        """A copy of a stretch of the file."""
        return os.pread(self.descriptor, len(stretch), stretch.start)

    def mapped(self) -> mmap.mmap | bytes:
        """The whole file, mapped without a copy."""
        return mmap.mmap(self.descriptor, self.size_bytes, prot=mmap.PROT_READ) if self.size_bytes else b""

    def duplicate(self) -> "SharedFile":
        """The same shared memory for another holder, with a descriptor of its own."""
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
        """The buffer, mapped to read and to write. The mapping lives as long as it is referenced."""
        return mmap.mmap(self.descriptor, self._size_bytes)
