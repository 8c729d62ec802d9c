"""Decodes a file's channels: each by itself as one speaker, or all mixed into one."""

from collections.abc import Sequence

from shared.audio.request import Channels
from shared.audio.walls.decodes import Sounds
from shared.jobs.options import TranscriptionOptions
from shared.transcripts.transcript import Segment, Transcript, join_text, merged
from worker.model.engine_protocol import EngineProtocol, Listener


class _OfChannel:
    """Passes the segments of one channel to a listener, with the channel's number."""

    def __init__(self, listener: Listener, number: int) -> None:
        self._listener, self._number, self.urgent = listener, number, listener.urgent

    def on_segment(self, segment: Segment) -> None:
        self._listener.on_segment(segment.model_copy(update={"channel": self._number}))

    def check(self) -> None:
        self._listener.check()


def transcribe_channels(
    engine: EngineProtocol, sounds: Sounds, options: TranscriptionOptions, preprocess_ms: float, listener: Listener
) -> Transcript:
    """The transcript of all channels, in order of time. Segments of split channels carry the channel's number (from 1)."""
    channels, found = sounds.samples, sounds.decoded
    heard = {"audio": found.audio, "warnings": found.warnings, "duration": round(found.seconds, 3)}
    if options.channels is Channels.MIX:
        return engine.transcribe(channels[0], options, preprocess_ms, listener).model_copy(update=heard)
    transcripts = [
        engine.transcribe(samples, options, preprocess_ms, _OfChannel(listener, number))
        for number, samples in enumerate(channels, start=1)
    ]
    return _together(transcripts).model_copy(update=heard)


def _together(transcripts: Sequence[Transcript]) -> Transcript:
    segments = merged([transcript.segments for transcript in transcripts])
    # A silent channel has no language that could be detected: take it from the channel with the most text.
    loudest = max(transcripts, key=lambda transcript: len(transcript.transcript))
    windows = {transcript.encoder_window for transcript in transcripts}
    return loudest.model_copy(
        update={
            "transcript": join_text(segments),
            "segments": segments,
            "transcribe_ms": round(sum(transcript.transcribe_ms for transcript in transcripts), 1),
            "encoder_window": windows.pop() if len(windows) == 1 else "mixed",
            "short_windows": sum(transcript.short_windows for transcript in transcripts),
            "window_fallbacks": sum(transcript.window_fallbacks for transcript in transcripts),
        }
    )
