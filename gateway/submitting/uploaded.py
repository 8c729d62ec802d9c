"""Holds uploaded audio until it is in Redis. A large file is held in shared memory, not on the gateway's heap."""

import hashlib
from collections.abc import Callable

from shared.audio.content import Content
from shared.audio.walls.shared_memory import SharedFile

#: Audio larger than this goes to shared memory: for it, that copy costs less than heap memory for many uploads at once.
SHARED_FROM_BYTES = 256 * 1024


class ArrivingAudio:
    """Audio that arrives chunk by chunk. It has those methods of a file object that Starlette's multipart parser calls."""

    #: As in SpooledTemporaryFile: False tells Starlette that the file is in memory, so that it needs no thread to write.
    _rolled = False

    def __init__(self) -> None:
        self._held, self._size = list[bytes](), 0
        self._shared: SharedFile | None = None

    def write(self, chunk: bytes) -> None:
        """Add the next chunk."""
        self._size += len(chunk)
        if self._shared is None and self._size > SHARED_FROM_BYTES:
            self._shared = SharedFile(b"".join(self._held))
            self._held.clear()
        if self._shared is None:
            self._held.append(bytes(chunk))
        else:
            self._shared.append(chunk)

    def tell(self) -> int:
        """The number of bytes that have arrived."""
        return self._size

    def seek(self, _offset: int) -> None:
        """Does nothing: Starlette rewinds a file when it is complete, but this one is only read as a whole, by `whole`."""

    def close(self) -> None:
        """Free the memory of the chunks, since the upload broke off."""
        self._held.clear()
        if self._shared is not None:
            self._shared.close()

    def whole(self) -> "UploadedAudio":
        """The whole audio. Call this when the upload is complete."""
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
        """Whether reading all of it takes longer than a hop to a thread and back."""
        return isinstance(self._content, SharedFile)

    def view(self) -> Content:
        """The bytes, without a copy."""
        return self._content if isinstance(self._content, bytes) else self._content.mapped()

    def content(self) -> bytes:
        """The bytes on the heap, for sending them on. Large audio is copied."""
        if isinstance(self._content, bytes):
            return self._content
        return b"".join(self._content.read(stretch) for stretch in self._content.chunks())

    def for_readers(self) -> SharedFile:
        """The audio in shared memory, for a reader process. The receiver must close it."""
        return SharedFile(self._content) if isinstance(self._content, bytes) else self._content.duplicate()

    def sha256(self, between: Callable[[], None] = lambda: None) -> str:
        """The SHA-256 of the bytes, in hexadecimal digits. For large audio `between` is called after each chunk; it may raise."""
        if isinstance(self._content, bytes):
            return hashlib.sha256(self._content).hexdigest()
        digest = hashlib.sha256()
        for stretch in self._content.chunks():
            digest.update(self._content.read(stretch))
            between()
        return digest.hexdigest()
