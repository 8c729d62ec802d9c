"""Probes uploaded audio before it becomes a job: in a reader process, unless the file is a plain wav that needs no parser."""

import asyncio

from starlette.requests import Request

from gateway.fleet.store import JobStore
from gateway.hanging_up import unless_hung_up
from gateway.submitting.uploaded import UploadedAudio
from shared.audio.report import AudioInfo
from shared.audio.request import MAX_CHANNELS, Channels
from shared.audio.walls.readers import Readers, info_from
from shared.audio.wav import plain_info, plain_wav
from shared.errors import AudioTooLong, AudioTooShort, EmptyAudio, HarmfulAudio, ReadersUnavailable
from shared.jobs.options import Submission
from shared.logs import get_logger
from shared.settings import GatewaySettings

#: How long a caller waits for a probe: for a free reader and the reader's answer together.
PATIENCE_SECONDS = 45.0

_LOG = get_logger(__name__)


class Prober:
    """Finds the format, tracks and length of audio, and checks that the fleet takes it."""

    def __init__(self, readers: Readers, store: JobStore, settings: GatewaySettings) -> None:
        self._readers, self._store, self._settings = readers, store, settings

    async def look_at(self, request: Request, audio: UploadedAudio, sha256: str, asked: Submission) -> AudioInfo:
        """Probe the audio and check it against the settings.

        Raises the errors of audio, `IncompleteAudio` for a `strict` caller, `ReadersUnavailable`, and `ClientDisconnect`.
        """
        if not audio.size_bytes:
            raise EmptyAudio("The audio is empty; send the bytes of an audio file.")
        plain = plain_wav(audio.view())
        if plain is not None and plain.is_usual and not asked.track:
            info = plain_info(plain)
        else:
            info = await self._read(request, audio, sha256, asked)
        self._check(info, asked)
        return info

    async def _read(self, request: Request, audio: UploadedAudio, sha256: str, asked: Submission) -> AudioInfo:
        if await self._store.is_unreadable(sha256):
            raise HarmfulAudio("This file has broken or exhausted its reader before, and is not looked at again; export it anew.")
        errand = self._readers.probe(audio.for_readers(), track=asked.track, max_seconds=self._settings.max_audio_length_seconds)
        try:
            return info_from(await unless_hung_up(request, asyncio.wrap_future(errand.result), PATIENCE_SECONDS))
        except TimeoutError as error:
            raise ReadersUnavailable("Too many files are being looked at; try again in a moment.") from error
        except HarmfulAudio as error:
            _LOG.warning("harmful_audio", sha256=sha256[:8], size_bytes=audio.size_bytes, cause=error.cause)
            if error.will_again:
                await self._store.remember_unreadable(sha256)
            raise
        finally:
            # No caller waits for this probe any more. That includes a caller that hung up or was told to try again.
            self._readers.withdraw(errand)

    def _check(self, info: AudioInfo, asked: Submission) -> None:
        settings, seconds = self._settings, info.seconds
        counted = seconds * ((info.channels or MAX_CHANNELS) if asked.channels is Channels.SPLIT else 1)
        if counted > settings.max_audio_length_seconds:
            each = f" in {info.channels or MAX_CHANNELS} channels" if counted > seconds else ""
            limit = settings.max_audio_length_seconds
            raise AudioTooLong(f"The audio is {seconds:.1f} s long{each}; at most {limit:g} s are taken. Split it first.")
        if seconds < settings.min_audio_length_seconds:
            raise AudioTooShort(
                f"The audio is {seconds:.3f} s long; at least {settings.min_audio_length_seconds:g} s are needed."
            )
        if asked.strict:
            for warning in info.warnings:
                warning.refuse_if_incomplete()
