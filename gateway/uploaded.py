"""Uploaded audio between its arrival and Redis: a large file is in shared memory meanwhile, not on the gateway's heap."""

import hashlib

from shared.audio.content import Content
from shared.audio.walls.shared_memory import SharedFile

#: From this size on a copy to shared memory costs less than what the memory of many at once would.
SHARED_FROM_BYTES = 256 * 1024


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

    def sha256(self) -> str:
        """In hexadecimal digits."""
        if isinstance(self._content, bytes):
            return hashlib.sha256(self._content).hexdigest()
        digest = hashlib.sha256()
        for stretch in self._content.chunks():
            digest.update(self._content.read(stretch))
        return digest.hexdigest()
