"""The audio tracks of a file, and the choice of one of them."""

from collections.abc import Mapping, Sequence

from av.audio.stream import AudioStream
from av.stream import Disposition

from shared.audio.report import Track
from shared.errors import MalformedAudio, UnsupportedAudio

#: At most this many tracks are listed.
MOST_TRACKS = 32
#: A file may hold texts of any length.
LONGEST_LANGUAGE, LONGEST_TITLE = 35, 200
LEAST_SHARE = 0.25


def choose(streams: Sequence[AudioStream], wanted: int | None, packets: Mapping[int, int]) -> AudioStream:
    """The wanted track (counted from 1); otherwise the default one among the tracks that hold packets.

    `packets`: the number of packets by the stream's index; empty where there is only one track.

    Raises `MalformedAudio` when there is no audio track, `UnsupportedAudio` when the wanted one is missing or cannot be decoded.
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
        audible = list(_not_empty(audible, packets))
    return next((stream for stream in audible if stream.disposition & Disposition.default), audible[0])


def _not_empty(streams: Sequence[AudioStream], packets: Mapping[int, int]) -> Sequence[AudioStream]:
    """The streams that hold packets. Without a default one among them, a stream with few packets comes from a damaged header."""
    full = [stream for stream in streams if packets.get(stream.index)] or list(streams)
    if any(stream.disposition & Disposition.default for stream in full):
        return full
    most = max(packets.get(stream.index, 0) for stream in full)
    return [stream for stream in full if packets.get(stream.index, 0) >= LEAST_SHARE * most]


def described(streams: Sequence[AudioStream]) -> list[Track]:
    """The tracks as the caller is told of them."""
    return [_track(number, stream) for number, stream in enumerate(streams[:MOST_TRACKS], start=1)]


def has_decoder(stream: AudioStream) -> bool:
    """Whether FFmpeg has a decoder for the stream. Without one, PyAV sets no codec context, although its types say otherwise."""
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
