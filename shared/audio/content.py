"""The bytes of a file as the readers see them: in memory, or in a shared mapping of it."""

import io
import mmap
from collections.abc import Mapping

Content = bytes | mmap.mmap
#: Bytes of a mapping that may stay in this process's memory before they are dropped.
KEPT_BYTES = 16 * 1024 * 1024


def forget(content: Content) -> None:
    """Drop the pages of a mapping from this process's memory. The shared memory keeps the bytes."""
    if isinstance(content, mmap.mmap):
        content.madvise(mmap.MADV_DONTNEED)


class Window(io.RawIOBase):
    """A stretch of a content as a file, for FFmpeg. It copies only the bytes that are read."""

    def __init__(self, content: Content, start: int, end: int, instead: Mapping[int, bytes] | None = None) -> None:
        """`instead`: bytes that readers see in place of the content's own, keyed by the offset of the first byte."""
        self._instead = instead or {}
        self._content, self._view = content, memoryview(content)
        self._start, self._size, self._at, self._read_bytes = start, end - start, 0, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        begin = self._start + self._at
        end = self._start + self._size if size < 0 else min(begin + size, self._start + self._size)
        taken = self._with_repairs(bytes(self._view[begin:end]), begin) if self._instead else bytes(self._view[begin:end])
        self._at += len(taken)
        self._read_bytes += len(taken)
        if self._read_bytes > KEPT_BYTES:
            self._read_bytes = 0
            forget(self._content)
        return taken

    def _with_repairs(self, taken: bytes, begin: int) -> bytes:
        repaired = bytearray(taken)
        for place, shown in self._instead.items():
            for number, byte in enumerate(shown, start=place - begin):
                if 0 <= number < len(repaired):
                    repaired[number] = byte
        return bytes(repaired)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset. A damaged file can make FFmpeg seek before the start: the position then stays unchanged."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at >= 0:
            self._at = min(at, self._size)
        return self._at

    def tell(self) -> int:
        return self._at

    def release(self) -> None:
        """Release the view of the content: a mapping cannot be closed while a view of it exists."""
        self._view.release()
