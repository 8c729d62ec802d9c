"""Several tracks, and several channels."""

from tests.field_files.workshop import A, B, FieldFile, Workshop, as_known

OTHERS = frozenset({"other_tracks"})
CANCELLED = frozenset({"channels_cancelled"})
SUMS_THEM = "FFmpeg takes the sum of the channels, which is nothing"
_QUIET = "-f lavfi -i anullsrc=r=16000:cl=mono:d=3"
_EMPTY = "-f lavfi -i anullsrc=r=16000:cl=mono:d=0"


def tracks() -> list[FieldFile]:
    """Several tracks: the default one that is not empty is chosen."""
    second = "-disposition:a:0 0 -disposition:a:1 default"
    first = "-disposition:a:0 default -disposition:a:1 0"
    return [
        _of_two("mkv whose second track is the default", "mkv", _QUIET, f"-c:a libopus {second}"),
        _of_two("mp4 whose second track is the default", "mp4", _QUIET, f"-c:a aac {second}"),
        _of_two("mkv whose first track is empty", "mkv", _EMPTY, f"-c:a libopus {first}"),
        _of_two("mkv whose first track is empty, of no default", "mkv", _EMPTY, "-c:a pcm_s16le -disposition:a 0"),
        _of_two("mp4 whose first track is empty", "mp4", _EMPTY, f"-c:a aac {first} -movflags +empty_moov+frag_keyframe"),
        _of_two("ts whose first track is empty", "ts", _EMPTY, "-c:a aac"),
        _of_two("mov whose second track is the default", "mov", _QUIET, f"-c:a pcm_s16le {second}"),
        _chosen("mkv of two tracks", "mkv", "-c:a libopus", ""),
        _chosen("mkv of two tracks, the second asked for", "mkv", "-c:a libopus", "track=2"),
        _chosen("mp4 of two tracks", "mp4", "-c:a aac", ""),
        _chosen("mp4 of two tracks, the second asked for", "mp4", "-c:a aac", "track=2"),
        _chosen("ts of two tracks", "ts", "-c:a aac", ""),
        _chosen("ts of two tracks, the second asked for", "ts", "-c:a aac", "track=2"),
        _chosen("asf of two tracks", "asf", "-c:a wmav2", ""),
        _chosen("avi of two tracks, the second asked for", "avi", "-c:a libmp3lame -ar 44100", "track=2"),
        _chosen("mpg of two tracks", "mpg", "-c:a mp2 -ar 48000", ""),
    ]


def _of_two(name: str, suffix: str, other: str, options: str, select: str = "0:a:1") -> FieldFile:
    """A file whose first track is `other`, and holds nothing; its second track holds clip A."""

    def make(shop: Workshop) -> bytes:
        sound = shop.put("sound.wav", A.wav())
        return shop.ffmpeg(suffix, *other.split(), "-i", str(sound), "-map", "0:a", "-map", "1:a", *options.split())

    return FieldFile(
        name=name,
        make=make,
        timeline=A,
        suffix=suffix,
        select=select,
        warnings=OTHERS,
    )


def _chosen(name: str, suffix: str, options: str, query: str) -> FieldFile:
    """A file with clip A in the first track and clip B in the second."""

    def make(shop: Workshop) -> bytes:
        first, second = shop.put("first.wav", A.wav()), shop.put("second.wav", B.wav())
        return shop.ffmpeg(suffix, "-i", str(first), "-i", str(second), "-map", "0:a", "-map", "1:a", *options.split())

    return FieldFile(
        name=name,
        make=make,
        timeline=B if query else A,
        suffix=suffix,
        select="0:a:1" if query else "0:a:0",
        warnings=frozenset() if query else OTHERS,
        query=query,
    )


def channels() -> list[FieldFile]:
    """Channels that cancel each other, and six channels."""
    opposite = "-af pan=stereo|c0=c0|c1=-1*c0"
    kinds = {
        "flac": "-c:a flac",
        "wav": "-c:a pcm_s16le",
        "mp3": "-c:a libmp3lame -ar 44100 -b:a 128k -joint_stereo 0",
        "ogg": "-c:a libopus -b:a 96k",
        "m4a": "-c:a aac -b:a 128k",
    }
    around = {
        "flac": "-c:a flac",
        "wav": "-c:a pcm_s16le",
        "ogg": "-c:a libopus -b:a 256k",
        "ac3": "-ar 48000 -b:a 384k",
        "m4a": "-c:a aac -b:a 256k",
        "dts": "-c:a dca -strict -2 -ar 48000",
    }
    return [
        *(_with_channels(f"{s} of opposite phase", s, opposite, o, SUMS_THEM, CANCELLED) for s, o in kinds.items()),
        *(_with_channels(f"{s} of six channels", s, "-af pan=5.1|FC=c0", o, "", frozenset()) for s, o in around.items()),
        _with_channels("wav with sound on the right only", "wav", "-af pan=stereo|c0=0*c0|c1=c0", "", "", frozenset()),
    ]


def _with_channels(name: str, suffix: str, panned: str, options: str, truth: str, warnings: frozenset[str]) -> FieldFile:
    return FieldFile(
        name=name,
        timeline=B,
        make=lambda shop: shop.made(B, suffix, *panned.split(" ", 1), *options.split()),
        suffix=suffix,
        truth=truth,
        measure=as_known(B) if truth else None,
        warnings=warnings,
    )
