"""What readers need for sound files of four hours, against their limits, and the cost of long decodes.

`python -m tests.benchmarks.readers PATH SECONDS` decodes one file, in a process of its own whose memory is measured.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]
import psutil

from shared.audio.request import Wanted
from shared.audio.walls.limits import EARNED_SECONDS, EARNING_PACKETS, LONGEST_PROBE_SECONDS, probe_limits
from shared.audio.walls.readers import Readers, info_from
from shared.audio.walls.schedule import PROBE_LANES_SECONDS
from shared.audio.walls.shared_memory import SharedFile
from shared.audio.wav import PcmEncoding, wav_of_pcm
from tests.processes import ROOT
from tests.report import Finding
from worker.model.decode import Decoder

HOUR = 3_600
LONG_SECONDS = 4 * HOUR
MOST_MB, MOST_SHARE, MEGABYTE = 300, 0.5, 1_000_000
LOOK_SECONDS = 0.002
#: Codec and options of each form: one minute is encoded, and its packets are repeated.
FORMS: Mapping[str, Sequence[str]] = {
    "mp3": ("libmp3lame", "-b:a", "16k", "-ar", "16000"),
    "ogg": ("libopus", "-b:a", "8k"),
    "webm": ("libopus", "-b:a", "8k"),
    "mkv": ("libvorbis", "-b:a", "32k", "-ar", "16000"),
    "m4a": ("aac", "-b:a", "16k", "-ar", "16000"),
    "mp4": ("aac", "-b:a", "48k", "-ar", "48000", "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "1000000"),
    "aac": ("aac", "-b:a", "16k", "-ar", "16000"),
    "amr": ("libopencore_amrnb", "-b:a", "4.75k", "-ar", "8000"),
    "flac": ("flac", "-ar", "8000"),
    "wav": ("adpcm_ima_wav", "-ar", "8000"),
    "w64": ("pcm_mulaw", "-ar", "4000"),
    "aiff": ("pcm_alaw", "-ar", "4000"),
    "caf": ("pcm_mulaw", "-ar", "4000"),
    "au": ("pcm_mulaw", "-ar", "4000"),
    "asf": ("wmav2", "-b:a", "24k", "-ar", "16000"),
    "avi": ("libmp3lame", "-b:a", "16k", "-ar", "16000"),
    "flv": ("libmp3lame", "-b:a", "24k", "-ar", "22050"),
    "ts": ("aac", "-b:a", "16k", "-ar", "16000"),
    "mpg": ("mp2", "-b:a", "32k", "-ar", "16000"),
    "ac3": ("ac3", "-b:a", "32k", "-ar", "32000"),
    "eac3": ("eac3", "-b:a", "32k", "-ar", "32000"),
    "wv": ("wavpack", "-ar", "8000", "-sample_fmt", "s16p"),
    "tta": ("tta", "-ar", "8000", "-sample_fmt", "s16"),
}
_MUXERS = {"m4a": "ipod", "ts": "mpegts", "mkv": "matroska", "mpg": "mpeg", "aac": "adts"}
#: A file of this form lists all of its frames before the first one: its packets cannot be repeated.
_AT_ONCE = frozenset({"tta"})


def readers(folder: Path) -> Iterator[Finding]:
    """Measure one form after the other: each file is dropped before the next one is made."""
    kept = Readers(1, niceness=0, lanes_seconds=PROBE_LANES_SECONDS)
    kept.start()
    with closing(kept):
        for form in FORMS:
            yield _probed(kept, f"a {form} file of four hours ({FORMS[form][0]})", made(folder, form, LONG_SECONDS))
        yield _probed(kept, "a gsm file of four hours", (b"\xd0" + bytes(32)) * (LONG_SECONDS * 50))
        pcm = bytes(8_000 * LONG_SECONDS)
        yield _probed(kept, "a wav file of four hours, mu-law", wav_of_pcm(pcm, PcmEncoding.MULAW, 8_000, 1))
    for name, seconds, make in _DECODES:
        (folder / "long").write_bytes(make(folder))
        yield _decoded(name, folder / "long", seconds)


def made(folder: Path, form: str, seconds: int) -> bytes:
    """A valid sound file of this form."""
    minute, whole, muxer = folder / f"minute.{form}", folder / f"whole.{form}", _MUXERS.get(form, form)
    codec, *options = FORMS[form]
    encoded = seconds if form in _AT_ONCE else 60
    source = f"sine=frequency=220:sample_rate=16000:duration={encoded},volume=0.05"
    _ffmpeg("-f", "lavfi", "-i", source, "-ac", "1", "-c:a", codec, *options, "-f", muxer, str(minute))
    again = ("-stream_loop", str(seconds // encoded - 1), "-i", str(minute), "-c", "copy", "-t", str(seconds))
    _ffmpeg(*again, *options[options.index("-movflags") :] if "-movflags" in options else (), "-f", muxer, str(whole))
    content = whole.read_bytes()
    minute.unlink()
    whole.unlink()
    return content


def _ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-loglevel", "error", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)


@dataclass
class _Peak:
    """The peak of one process, looked at every few milliseconds: processor seconds and memory."""

    seconds: float = 0.0
    memory_bytes: int = 0

    def look(self, process: psutil.Process) -> None:
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            used = process.cpu_times()
            self.seconds = max(self.seconds, used.user + used.system)
            self.memory_bytes = max(self.memory_bytes, process.memory_info().rss)


def _probed(kept: Readers, name: str, content: bytes) -> Finding:
    size_mb = len(content) / MEGABYTE
    reading, before, peak = kept.probe(SharedFile(content), track=None, max_seconds=LONG_SECONDS + 60), _Peak(), _Peak()
    while not reading.result.done():
        if reading.pid is not None:
            reader = psutil.Process(reading.pid)
            if not before.memory_bytes:
                before.look(reader)
            peak.look(reader)
        time.sleep(LOOK_SECONDS)
    info = info_from(reading.result.result())
    earned = EARNED_SECONDS * (info.packets // EARNING_PACKETS)
    limit = min(LONGEST_PROBE_SECONDS, probe_limits(len(content)).cpu_seconds + earned)
    took, memory_mb = peak.seconds - before.seconds, peak.memory_bytes / MEGABYTE
    sound = abs(info.seconds - LONG_SECONDS) < LONG_SECONDS / 100
    return Finding(
        experiment=f"probe of {name}",
        must=f"<= {MOST_SHARE * limit:.1f} s of processor time, half of the limit; <= {MOST_MB} MB",
        seen=f"{took:.2f} s ({took / limit:.0%} of the limit), {memory_mb:.0f} MB, {size_mb:.1f} MB; {info.seconds:.0f} s long",
        holds=sound and took <= MOST_SHARE * limit and memory_mb <= MOST_MB,
    )


# --- decodes ---


def _wav(seconds: int) -> bytes:
    return wav_of_pcm(bytes(range(256)) * (125 * seconds), PcmEncoding.S16LE, 16_000, 1)


def _with_list(content: bytes) -> bytes:
    """A wav with a chunk after its data that names its maker: not a wav of the simplest kind."""
    return content + b"LIST\x10\0\0\0INFOISFT\4\0\0\0test"


_DECODES: Sequence[tuple[str, int, Callable[[Path], bytes]]] = (
    ("an mp3 of one hour", HOUR, lambda folder: made(folder, "mp3", HOUR)),
    ("a plain wav of four hours", LONG_SECONDS, lambda _: _wav(LONG_SECONDS)),
    ("a wav of four hours with a chunk of its maker", LONG_SECONDS, lambda _: _with_list(_wav(LONG_SECONDS))),
)
#: Memory allowed on top of file and samples.
ROOM_MB = 100


def _decoded(name: str, path: Path, seconds: int) -> Finding:
    command = [sys.executable, "-m", "tests.benchmarks.readers", str(path), str(seconds)]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)
    size_mb, sound_mb = path.stat().st_size / MEGABYTE, 4 * 16_000 * seconds / MEGABYTE
    most = sound_mb + size_mb + ROOM_MB
    return Finding(
        experiment=f"decode of {name} ({size_mb:.0f} MB; {sound_mb:.0f} MB of samples)",
        must=f"reader and caller <= {most:.0f} MB each: file, samples once, and {ROOM_MB} MB",
        seen=f"{told['seconds']:.1f} s; reader {told['reader_mb']:.0f} MB, caller {told['caller_mb']:.0f} MB above what it began "
        f"with; {told['heard']:.1f} s of sound",
        holds=max(told["reader_mb"], told["caller_mb"]) <= most and abs(told["heard"] - seconds) < seconds / 1_000,
    )


def main(path: Path, seconds: int) -> None:
    """Decode as a model process does, and print the cost. The file is not counted as the caller's memory at first."""
    decoder, this = Decoder(), psutil.Process()
    decoder.start()
    time.sleep(1.0)
    begun = this.memory_info().rss
    file = SharedFile(path.read_bytes())
    caller, reader, is_over = _Peak(), _Peak(), threading.Event()

    def watch() -> None:
        while not is_over.wait(LOOK_SECONDS):
            caller.look(this)
            for child in this.children(recursive=True):
                reader.look(child)

    watching = threading.Thread(target=watch)
    watching.start()
    started = time.perf_counter()
    sounds = decoder.decode(file, Wanted(max_seconds=seconds + 60.0), seconds, 1, check=lambda: None)
    took, _ = time.perf_counter() - started, float(sounds.samples.sum())
    is_over.set()
    watching.join()
    told = {
        "seconds": took,
        "heard": sounds.decoded.seconds,
        "caller_mb": (caller.memory_bytes - begun) / MEGABYTE,
        "reader_mb": reader.memory_bytes / MEGABYTE,
    }
    print(json.dumps(told))
    decoder.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
