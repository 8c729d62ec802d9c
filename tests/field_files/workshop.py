"""The workshop of field files: puts demo clips on a timeline, encodes them by FFmpeg, and makes the reference for each file.

The encoders are those of the FFmpeg in the `imageio-ffmpeg` package, so that no system's FFmpeg is needed.
"""

import io
import subprocess
import wave
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import av
import imageio_ffmpeg  # type: ignore[import-untyped]

from tests.processes import ROOT

RATE_HZ, SAMPLE_BYTES = 16_000, 2
AUDIO = ROOT / "tests" / "audio"
#: The clips by their letters. Each begins and ends with 0.2 s of silence.
CLIPS = {"A": "everyday_001.wav", "B": "everyday_005.wav", "C": "everyday_006.wav"}
WORDS = {
    "A": "the baby has a fever and won't stop crying",
    "B": "we had a lovely time at the beach",
    "C": "are you free for dinner on friday",
}


@cache
def pcm(letter: str) -> bytes:
    """A clip's samples: 16 bits, mono, 16 kHz."""
    with wave.open(str(ROOT / "models" / "demo" / "clips" / CLIPS[letter])) as clip:
        return bytes(clip.readframes(clip.getnframes()))


def seconds_of(letters: str) -> float:
    """The total length of these clips."""
    return sum(len(pcm(letter)) for letter in letters) / SAMPLE_BYTES / RATE_HZ


@dataclass(frozen=True)
class Timeline:
    """Which clip begins when. `seconds`: the total length, where it does not end with the last clip."""

    said: tuple[tuple[float, str], ...]
    seconds: float | None = None

    @property
    def text(self) -> str:
        return " ".join(WORDS[letter] for _, letter in self.said)

    @property
    def end(self) -> float:
        at, last = self.said[-1]
        return at + seconds_of(last) if self.seconds is None else self.seconds

    def later(self, seconds: float) -> "Timeline":
        """The same timeline, shifted by this time."""
        return Timeline(tuple((at + seconds, letter) for at, letter in self.said), self.end + seconds)

    def wav(self) -> bytes:
        """The sound of the timeline, as a transcript should hear it."""
        sound = bytearray(round(self.end * RATE_HZ) * SAMPLE_BYTES)
        for at, letter in self.said:
            begin = round(at * RATE_HZ) * SAMPLE_BYTES
            sound[begin : begin + len(pcm(letter))] = pcm(letter)
        return plain_wav(bytes(sound))


def one_after_the_other(letters: str, pause_seconds: float = 0.0) -> Timeline:
    """Clips in a row, with a pause between them."""
    return Timeline(tuple((seconds_of(letters[:n]) + n * pause_seconds, letter) for n, letter in enumerate(letters)))


def plain_wav(sound: bytes) -> bytes:
    """Samples of 16 bits as a wav, mono at 16 kHz."""
    out = io.BytesIO()
    with wave.open(out, "wb") as opened:
        opened.setparams((1, SAMPLE_BYTES, RATE_HZ, 0, "NONE", "not compressed"))
        opened.writeframes(sound)
    return out.getvalue()


A, B, C = (one_after_the_other(letter) for letter in "ABC")
#: Clips with a pause from 2.7 s to 3.7 s between them: damage or a cut within the pause costs no word.
AB = one_after_the_other("AB", 1.0)
PAUSE_SECONDS = 3.0
#: Clips without a pause between them, as in files that were joined.
JOINED, JOINED_OF_THREE = one_after_the_other("AB"), one_after_the_other("ABC")

#: How FFmpeg makes each kind of file: the suffix of its name, which chooses the container, and options.
RECIPES: Mapping[str, tuple[str, str]] = {
    "wav": ("wav", "-c:a pcm_s16le"),
    "rf64": ("wav", "-c:a pcm_s16le -rf64 always"),
    "w64": ("w64", ""),
    "flac": ("flac", ""),
    "ogg opus": ("ogg", "-c:a libopus -b:a 32k -page_duration 100000"),
    "ogg vorbis": ("ogg", "-c:a libvorbis -page_duration 100000"),
    "ogg flac": ("ogg", "-c:a flac -page_duration 100000"),
    "mp3": ("mp3", "-c:a libmp3lame -b:a 48k -ar 24000"),
    "mp3 without a tag": ("mp3", "-c:a libmp3lame -ar 44100 -b:a 64k -write_xing 0 -id3v2_version 0"),
    "mp2": ("mp2", "-c:a mp2 -ar 48000 -b:a 96k"),
    "m4a": ("m4a", "-c:a aac -b:a 64k -movflags +faststart"),
    "alac": ("m4a", "-c:a alac -movflags +faststart"),
    "fragmented mp4": ("mp4", "-c:a aac -b:a 64k -movflags +empty_moov+default_base_moof -frag_duration 500000"),
    "mov": ("mov", "-c:a pcm_s16le"),
    "3gp": ("3gp", "-c:a aac -b:a 64k -movflags +faststart"),
    "3gp of amr": ("3gp", "-c:a libopencore_amrnb -ar 8000 -b:a 12.2k -movflags +faststart"),
    "aac": ("aac", "-c:a aac -b:a 64k -f adts"),
    "latm": ("latm", "-c:a aac -b:a 64k -f latm"),
    "webm": ("webm", "-c:a libopus -b:a 32k -cluster_time_limit 500"),
    "mkv": ("mkv", "-c:a aac -b:a 64k -cluster_time_limit 500"),
    "aiff": ("aiff", ""),
    "caf": ("caf", "-c:a pcm_s16be"),
    "au": ("au", ""),
    "amr": ("amr", "-c:a libopencore_amrnb -ar 8000 -b:a 12.2k"),
    "asf": ("asf", "-c:a wmav2 -b:a 64k"),
    "avi": ("avi", "-c:a libmp3lame -ar 44100 -b:a 64k"),
    "flv": ("flv", "-c:a libmp3lame -ar 44100 -b:a 64k"),
    "ts": ("ts", "-c:a aac -b:a 64k"),
    "m2ts": ("m2ts", "-c:a ac3 -ar 48000 -mpegts_m2ts_mode 1"),
    "mpg": ("mpg", "-c:a mp2 -ar 48000 -b:a 96k"),
    "vob": ("vob", "-c:a ac3 -ar 48000 -b:a 96k"),
    "ac3": ("ac3", "-ar 48000 -b:a 96k"),
    "eac3": ("eac3", "-ar 48000 -b:a 96k"),
    "dts": ("dts", "-c:a dca -strict -2 -ar 48000"),
    "wavpack": ("wv", ""),
    "tta": ("tta", ""),
}
#: Codecs of telephones. The demo model mishears them, and to it a slightly different sample may be another word.
NARROW = frozenset({"3gp of amr", "amr", "gsm"})
#: Files of clips as in `AB`, made once by a system's FFmpeg (`-ar 8000 -c:a libgsm`, `-c:a libspeex -b:a 12k`), since the
#: package's FFmpeg lacks these encoders.
KEPT = {"gsm": "gsm", "ogg speex": "spx"}


def ending(recipe: str) -> str:
    """The suffix of the file's name: FFmpeg looks at it, the fleet never sees it."""
    return RECIPES[recipe][0] if recipe in RECIPES else KEPT[recipe]


@dataclass
class Workshop:
    """Makes files in a folder, and keeps them so that none is made twice."""

    folder: Path
    _made: dict[tuple[str, Timeline], bytes] = field(default_factory=dict)
    _references: dict[tuple[object, ...], bytes] = field(default_factory=dict)

    def encoded(self, recipe: str, timeline: Timeline = AB) -> bytes:
        """The timeline, encoded by a recipe."""
        if recipe in KEPT:
            assert timeline == AB
            return (AUDIO / f"two_clips.{KEPT[recipe]}").read_bytes()
        key = (recipe, timeline)
        if key not in self._made:
            suffix, options = RECIPES[recipe]
            self._made[key] = self.made(timeline, suffix, *options.split())
        return self._made[key]

    def made(self, timeline: Timeline, suffix: str, *options: str) -> bytes:
        """The timeline, encoded with these options."""
        return self.ffmpeg(suffix, "-i", str(self.put("source.wav", timeline.wav())), *options)

    def ffmpeg(self, suffix: str, *arguments: str) -> bytes:
        """The file that FFmpeg writes with these inputs and options."""
        out = self.folder / f"made.{suffix}"
        self.run(*arguments, str(out))
        return out.read_bytes()

    def run(self, *arguments: str) -> None:
        """Run FFmpeg with these inputs, options and outputs."""
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *arguments]
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(f"{' '.join(command)}: {done.stderr.decode(errors='replace')[-2000:]}")

    def put(self, name: str, content: bytes) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def reference(self, content: bytes, suffix: str, read_as: tuple[str, ...] = (), select: str = "0:a") -> bytes:
        """The wav that FFmpeg makes of a file when it keeps the file's timeline."""
        key = (content, *read_as, select)
        if key not in self._references:
            path = self.put(f"to_be_measured.{suffix}", content)
            timeline = ("-map", select, "-af", "aresample=async=1:first_pts=0")
            self._references[key] = self.ffmpeg("wav", *read_as, "-i", str(path), *timeline, "-ac", "1", "-ar", str(RATE_HZ))
        return self._references[key]

    def reference_of_parts(self, parts: Sequence[bytes], suffix: str) -> bytes:
        """The wavs of the parts, one after the other, each as FFmpeg reads it alone."""
        sounds = []
        for part in parts:
            with wave.open(io.BytesIO(self.reference(part, suffix))) as opened:
                sounds.append(opened.readframes(opened.getnframes()))
        return plain_wav(b"".join(sounds))


Make = Callable[[Workshop], bytes]


@dataclass(frozen=True, kw_only=True)
class FieldFile:
    """A file as it comes in from the field, and its reference.

    `timeline`: which clips are in it, and when. `measure`: makes the wav that it must sound like; without it, that is FFmpeg's
    wav of the same file, read with the options `read_as`, the track `select`. `truth`: why FFmpeg's wav is not the reference.
    `lost`: how many words of the clips may be missing or wrong. `is_narrow`: the sound of a telephone, for which the model's
    words and times depend on the last bit. `warnings`: must be given; those in `may_warn` may be given, and no other may.
    """

    name: str
    make: Make
    timeline: Timeline = AB
    suffix: str
    measure: Make | None = None
    truth: str = ""
    lost: int = 0
    is_narrow: bool = False
    warnings: frozenset[str] = frozenset()
    may_warn: frozenset[str] = frozenset()
    query: str = ""
    read_as: tuple[str, ...] = ()
    select: str = "0:a"

    def __post_init__(self) -> None:
        assert bool(self.truth) == (self.measure is not None), f"{self.name}: say why FFmpeg's wav is not the measure"


def as_known(timeline: Timeline) -> Make:
    """A measure: the sound that is in the file by construction."""
    return lambda _: timeline.wav()


INCOMPLETE = frozenset({"audio_incomplete"})


def place(content: bytes, seconds: float) -> int:
    """The byte at which the packet for this time begins; in files without such marks, by the share of the file."""
    try:
        with av.open(io.BytesIO(content)) as source:
            track = source.streams.audio[0]
            start = track.start_time or 0
            for packet in source.demux(track):
                if packet.pts is None or packet.pos is None or packet.pos < 0:
                    continue
                if float((packet.pts - start) * packet.time_base) >= seconds:
                    return int(packet.pos)
    except av.FFmpegError:
        pass
    return round(len(content) * seconds / AB.end)
