"""The audio tracks of a file, and which of them is heard."""

from collections.abc import Callable, Sequence

from av.audio.stream import AudioStream
from av.stream import Disposition

from shared.audio.report import Track
from shared.errors import MalformedAudio, UnsupportedAudio

#: More tracks than this are not told.
MOST_TRACKS = 32
#: A file may hold texts of any length.
LONGEST_LANGUAGE, LONGEST_TITLE = 35, 200


def choose(streams: Sequence[AudioStream], wanted: int | None, not_empty: Callable[[], frozenset[int]]) -> AudioStream:
    """The track that is asked for (from 1); else the default one of those that hold something, whose indexes `not_empty` finds.

    Raises `MalformedAudio` when there is no audio track, `UnsupportedAudio` when it is not there or cannot be decoded.
    """
    if not streams:
        raise MalformedAudio("The file has no audio track.")
    if wanted is not None:
        if wanted > len(streams):
            raise UnsupportedAudio(f"There is no audio track {wanted}; the file has {len(streams)}, counted from 1.")
        chosen = streams[wanted - 1]
        if not has_decoder(chosen):
            raise UnsupportedAudio(f"The codec of audio track {wanted} is unknown; choose another one, or convert it.")
        return chosen
    audible = [stream for stream in streams if has_decoder(stream)]
    if not audible:
        raise UnsupportedAudio("The audio's codec is unknown; convert it to wav, flac or ogg.")
    if len(audible) > 1:
        full = not_empty()
        audible = [stream for stream in audible if stream.index in full] or audible
    # A track of which not even the rate is known is hardly one.
    audible = [stream for stream in audible if stream.rate and stream.channels] or audible
    return next((stream for stream in audible if stream.disposition & Disposition.default), audible[0])


def described(streams: Sequence[AudioStream]) -> list[Track]:
    """As the caller is told of them."""
    return [_track(number, stream) for number, stream in enumerate(streams[:MOST_TRACKS], start=1)]


def has_decoder(stream: AudioStream) -> bool:
    """Whether FFmpeg knows its codec. PyAV leaves the context out where it does not, whatever its types say."""
    return getattr(stream, "codec_context", None) is not None


def _track(number: int, stream: AudioStream) -> Track:
    known = has_decoder(stream)
    return Track(
        track=number,
        codec=stream.codec_context.name if known else None,
        channels=stream.channels if known else 0,
        sample_rate_hz=(stream.rate or 0) if known else 0,
        language=(stream.language or "")[:LONGEST_LANGUAGE] or None,
        title=stream.metadata.get("title", "")[:LONGEST_TITLE] or None,
        default=bool(stream.disposition & Disposition.default),
    )
