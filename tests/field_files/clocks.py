"""Times: sound that starts late, gaps between packets, clocks that begin anywhere."""

import io
from collections.abc import Sequence

import av

from tests.field_files.workshop import A, B, FieldFile, Make, Timeline, Workshop, as_known, ending, seconds_of

#: Time between the clips in a file with a gap.
GAP_SECONDS = 5.0
_PICTURE = "-f lavfi -i color=c=black:s=64x64:r=5:d=4"
#: The codecs of picture and sound, by the suffix.
_WITH_PICTURE = {
    "mp4": "-c:v libx264 -preset ultrafast -c:a aac",
    "mov": "-c:v mpeg4 -c:a pcm_s16le",
    "mkv": "-c:v mpeg4 -c:a aac",
    "webm": "-c:v libvpx -c:a libopus",
    "ts": "-c:v mpeg2video -r 25 -c:a aac",
    "mpg": "-c:v mpeg1video -r 25 -c:a mp2 -ar 48000",
    "flv": "-c:v flv1 -c:a libmp3lame -ar 44100",
    "asf": "-c:v wmv2 -c:a wmav2",
}


def late() -> list[FieldFile]:
    """The picture is there from the start, the sound from 2 s."""
    return [
        FieldFile(
            name=f"{suffix} with sound from 2 s",
            make=lambda shop, s=suffix, o=options: _with_picture(shop, s, o),  # type: ignore[misc]
            timeline=A.later(2.0),
            suffix=suffix,
            measure=as_known(A.later(2.0)) if suffix in ("ts", "mpg") else None,
            truth="FFmpeg begins with the sound where it is not to show the picture" if suffix in ("ts", "mpg") else "",
        )
        for suffix, options in _WITH_PICTURE.items()
    ]


def _with_picture(shop: Workshop, suffix: str, options: str) -> bytes:
    sound = shop.put("sound.wav", A.wav())
    mapped = ("-itsoffset", "2", "-i", str(sound), "-map", "0:v", "-map", "1:a")
    return shop.ffmpeg(suffix, *_PICTURE.split(), *mapped, *options.split())


def gaps() -> list[FieldFile]:
    """Nothing was recorded for five seconds, as the packets' times say."""
    at = seconds_of("A") + GAP_SECONDS
    return [
        FieldFile(
            name=f"a gap in {recipe}",
            make=lambda shop, recipe=recipe: _with_gap(shop, recipe, at),  # type: ignore[misc]
            timeline=Timeline(((0.0, "A"), (at, "B"))),
            suffix=ending(recipe),
        )
        for recipe in ("webm", "mkv", "m4a", "fragmented mp4", "3gp", "ts", "m2ts", "mpg", "vob", "flv", "asf", "ogg opus")
    ]


def _with_gap(shop: Workshop, recipe: str, second_at: float) -> bytes:
    parts = [(shop.encoded(recipe, A), 0.0), (shop.encoded(recipe, B), second_at)]
    muxers = {"m4a": "mp4", "3gp": "3gp", "fragmented mp4": "mp4", "mkv": "matroska", "ts": "mpegts", "m2ts": "mpegts"}
    options = {"movflags": "empty_moov+default_base_moof", "frag_duration": "500000"} if recipe == "fragmented mp4" else {}
    muxers |= {"mpg": "mpeg", "vob": "vob", "ogg opus": "ogg"}
    if recipe == "m2ts":
        options = {"mpegts_m2ts_mode": "1"}
    return _remuxed(parts, muxers.get(recipe, recipe), options)


def _remuxed(parts: Sequence[tuple[bytes, float]], muxer: str, options: dict[str, str]) -> bytes:
    """Packets of several files in one; each file is shifted by its number of seconds."""
    out, stream = io.BytesIO(), None
    with av.open(out, "w", format=muxer, options=options) as target:
        for content, put_off in parts:
            with av.open(io.BytesIO(content)) as source:
                track = source.streams.audio[0]
                stream = stream or target.add_stream_from_template(track)
                begins = track.start_time or 0
                for packet in source.demux(track):
                    if packet.dts is None or packet.pts is None:
                        continue
                    shift = round(put_off / packet.time_base) - (begins if put_off else 0)
                    packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                    target.mux(packet)
    return out.getvalue()


def begun_elsewhere() -> list[FieldFile]:
    """A recording that joined a running stream: its clock does not start at 0."""
    return [
        *(
            FieldFile(
                name=f"{recipe} from 100 s on",
                make=lambda shop, r=recipe: _from_100(shop, r),  # type: ignore[misc]
                timeline=B,
                suffix=ending(recipe),
            )
            for recipe in ("webm", "mkv", "ts", "m2ts", "mpg", "vob", "flv", "asf", "fragmented mp4", "ogg opus")
        ),
        *(
            FieldFile(
                name=f"{recipe}, the last of three segments", make=_segment(recipe), timeline=_SEGMENT, suffix=ending(recipe)
            )
            for recipe in ("webm", "mkv", "ts", "flv", "m4a", "ogg opus")
        ),
        FieldFile(name="a segment of an HLS stream in fragmented mp4", make=_hls_segment, timeline=_SEGMENT, suffix="mp4"),
        FieldFile(
            name="an m4a whose edit list leaves out the first 2.9 s",
            make=_edited,
            timeline=Timeline(((seconds_of("A") + 1.0 - 2.9, "B"),)),
            suffix="m4a",
        ),
        FieldFile(name="an mp4 whose edit list begins with 2 s of nothing", make=_begins_with_nothing, timeline=A, suffix="mp4"),
    ]


def _from_100(shop: Workshop, recipe: str) -> bytes:
    suffix = ending(recipe)
    whole = shop.put(f"whole.{suffix}", shop.encoded(recipe, B))
    flags = ("-movflags", "+empty_moov+default_base_moof", "-frag_duration", "500000") if recipe == "fragmented mp4" else ()
    muxer = {"m2ts": ("-mpegts_m2ts_mode", "1")}.get(recipe, flags)
    return shop.ffmpeg(suffix, "-i", str(whole), "-c", "copy", "-output_ts_offset", "100", *muxer)


#: The timeline from somewhere in the pause on.
_SEGMENT = Timeline(((0.7, "B"),))


def _segment(recipe: str, number: int = 2) -> Make:
    """One of the files into which FFmpeg cuts a recording."""
    suffix = ending(recipe)

    def make(shop: Workshop) -> bytes:
        whole = shop.put(f"whole.{suffix}", shop.encoded(recipe))
        pattern = str(shop.folder / f"segment%d.{suffix}")
        shop.run("-i", str(whole), "-c", "copy", "-f", "segment", "-segment_times", "1,2.9", pattern)
        return (shop.folder / f"segment{number}.{suffix}").read_bytes()

    return make


def _hls_segment(shop: Workshop) -> bytes:
    """The header that describes the tracks, and the fragments from the seventh on (from about 3 s on)."""
    whole = shop.encoded("fragmented mp4")
    starts = [at - 4 for at in range(len(whole)) if whole.startswith(b"moof", at)]
    return whole[: starts[0]] + whole[starts[6] :]


def _edited(shop: Workshop) -> bytes:
    whole = shop.put("whole.m4a", shop.encoded("m4a"))
    return shop.ffmpeg("m4a", "-ss", "2.9", "-i", str(whole), "-c", "copy")


def _begins_with_nothing(shop: Workshop) -> bytes:
    whole = shop.put("whole.m4a", shop.encoded("m4a", A))
    return shop.ffmpeg("mp4", "-itsoffset", "2", "-i", str(whole), "-c", "copy")
