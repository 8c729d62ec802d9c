"""Uploaded audio between its arrival and Redis: a large file is in shared memory meanwhile, not on the gateway's heap."""

import hashlib
from collections.abc import Callable

from shared.audio.content import Content
from shared.audio.walls.shared_memory import SharedFile

#: From this size on a copy to shared memory costs less than what the memory of many at once would.
SHARED_FROM_BYTES = 256 * 1024


class ArrivingAudio:
    """Audio that comes in, chunk by chunk; of a file object it has what Starlette's multipart parser calls."""

    #: Of a SpooledTemporaryFile: it is in memory, so that writing needs no thread.
    _rolled = False

    def __init__(self) -> None:
        self._held, self._size = list[bytes](), 0
        self._shared: SharedFile | None = None

    def write(self, chunk: bytes) -> None:
        """The next chunk."""
        self._size += len(chunk)
        if self._shared is None and self._size > SHARED_FROM_BYTES:
            self._shared = SharedFile(b"".join(self._held))
            self._held.clear()
        if self._shared is None:
            self._held.append(bytes(chunk))
        else:
            self._shared.append(chunk)

    def tell(self) -> int:
        """How much has come."""
        return self._size

    def seek(self, _offset: int) -> None:
        """It has been written; nothing is read by parts."""

    def close(self) -> None:
        """The upload broke off: free the memory of the chunks that have come."""
        self._held.clear()
        if self._shared is not None:
            self._shared.close()

    def whole(self) -> "UploadedAudio":
        """All of it, once it is complete."""
        return UploadedAudio(self._shared or b"".join(self._held))


class UploadedAudio:
    """The bytes of a file as they came in."""

    def __init__(self, content: bytes | SharedFile) -> None:
        if isinstance(content, bytes) and len(content) > SHARED_FROM_BYTES:
            content = SharedFile(content)
        self._content = content

    @property
    def size_bytes(self) -> int:
        return len(self._content) if isinstance(self._content, bytes) else self._content.size_bytes

    @property
    def is_large(self) -> bool:
        """To go through it takes longer than a hop to a thread and back."""
        return isinstance(self._content, SharedFile)

    def view(self) -> Content:
        """Without a copy."""
        return self._content if isinstance(self._content, bytes) else self._content.mapped()

    def content(self) -> bytes:
        """A copy, for sending it on."""
        if isinstance(self._content, bytes):
            return self._content
        return b"".join(self._content.read(stretch) for stretch in self._content.chunks())

    def for_readers(self) -> SharedFile:
        """For a process that looks at it; the receiver's to close."""
        return SharedFile(self._content) if isinstance(self._content, bytes) else self._content.duplicate()

    def sha256(self, between: Callable[[], None] = lambda: None) -> str:
        """In hexadecimal digits. Of a large one `between` is called after each stretch, and may raise."""
        if isinstance(self._content, bytes):
            return hashlib.sha256(self._content).hexdigest()
        digest = hashlib.sha256()
        for stretch in self._content.chunks():
            digest.update(self._content.read(stretch))
            between()
        return digest.hexdigest()
