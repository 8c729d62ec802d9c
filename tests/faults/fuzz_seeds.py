"""Valid files from which the fuzz begins: every accepted container, and the codecs that occur in it."""

import random
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imageio_ffmpeg  # type: ignore[import-untyped]

from tests.processes import ROOT

CLIP = ROOT / "models" / "demo" / "clips" / "everyday_012.wav"
SECONDS = "1.6"
_SAME_EVERY_TIME = "-fflags +bitexact -flags:a +bitexact -flags:v +bitexact -threads 1".split()
#: Small moving pictures, for the second input.
_PICTURES = ["-f", "lavfi", "-i", f"testsrc=s=32x32:r=25:d={SECONDS}"]
_GSM_FRAME_BYTES, _GSM_FRAMES_PER_SECOND = 33, 50

#: FFmpeg's options for each file; the last one is its name for the format. A leading `+`: with pictures.
_MADE: Mapping[str, str] = {
    "wav pcm": "-c:a pcm_s16le wav",
    "wav pcm 24 stereo": "-ac 2 -c:a pcm_s24le wav",
    "wav 8 bit": "-c:a pcm_u8 wav",
    "wav float": "-c:a pcm_f32le wav",
    "wav mu-law": "-ar 8000 -c:a pcm_mulaw wav",
    "wav adpcm ima": "-c:a adpcm_ima_wav wav",
    "wav adpcm ms": "-c:a adpcm_ms wav",
    "wav mp3": "-c:a libmp3lame -b:a 32k wav",
    "rf64": "-c:a pcm_s16le -rf64 always wav",
    "w64": "-c:a pcm_s16le w64",
    "flac": "-c:a flac flac",
    "ogg opus": "-c:a libopus -b:a 24k ogg",
    "ogg vorbis": "-c:a libvorbis -q:a 1 ogg",
    "ogg flac": "-c:a flac ogg",
    "mp3": "-c:a libmp3lame -b:a 32k mp3",
    "mp3 bare": "-c:a libmp3lame -b:a 32k -write_xing 0 -id3v2_version 0 mp3",
    "mp3 variable, tagged": "-c:a libmp3lame -q:a 6 -metadata title=fuzz -id3v2_version 4 -write_id3v1 1 mp3",
    "mp2": "-c:a mp2 -b:a 32k mp2",
    "m4a aac": "-c:a aac -b:a 32k ipod",
    "m4a alac": "-c:a alac ipod",
    "mp4 with pictures": "+ -c:v mpeg4 -c:a aac -b:a 32k mp4",
    "mp4 in fragments": "-c:a aac -b:a 32k -movflags +frag_keyframe+empty_moov+default_base_moof -frag_duration 300000 mp4",
    "mp4 index first": "-c:a libmp3lame -b:a 32k -movflags +faststart mp4",
    "mov pcm": "-c:a pcm_s16be mov",
    "mov adpcm": "-c:a adpcm_ima_qt mov",
    "3gp amr": "-ar 8000 -c:a libopencore_amrnb 3gp",
    "adts": "-c:a aac -b:a 32k adts",
    "loas": "-c:a aac -b:a 32k latm",
    "webm opus": "-c:a libopus -b:a 24k webm",
    "webm vorbis": "-c:a libvorbis -q:a 1 webm",
    "mkv with two tracks": "-map 0:a -map 0:a -c:a:0 libopus -c:a:1 flac -b:a:0 24k matroska",
    "mkv pcm with pictures": "+ -c:v mpeg4 -c:a pcm_s16le matroska",
    "aiff": "-c:a pcm_s16be aiff",
    "aifc mu-law": "-ar 8000 -c:a pcm_mulaw aiff",
    "caf": "-c:a pcm_s16be caf",
    "caf alac": "-c:a alac caf",
    "au": "-c:a pcm_s16be au",
    "au mu-law": "-ar 8000 -c:a pcm_mulaw au",
    "amr": "-ar 8000 -c:a libopencore_amrnb amr",
    "asf wma": "-c:a wmav2 -b:a 32k asf",
    "wmv": "+ -c:v wmv2 -c:a wmav1 -b:a 32k asf",
    "avi mp3": "+ -c:v mpeg4 -c:a libmp3lame -b:a 32k avi",
    "avi pcm": "+ -c:v mpeg4 -c:a pcm_s16le avi",
    "flv": "+ -c:v flv1 -ar 22050 -c:a libmp3lame -b:a 32k flv",
    "flv aac": "-c:a aac -b:a 32k flv",
    "ts aac": "+ -c:v mpeg2video -c:a aac -b:a 32k mpegts",
    "ts mp2": "-c:a mp2 -b:a 32k mpegts",
    "m2ts ac3": "-ar 48000 -c:a ac3 -b:a 64k -mpegts_m2ts_mode 1 mpegts",
    "mpg": "+ -c:v mpeg1video -ar 44100 -c:a mp2 -b:a 64k mpeg",
    "vob ac3": "+ -c:v mpeg2video -ar 48000 -c:a ac3 -b:a 64k vob",
    "ac3": "-ar 48000 -c:a ac3 -b:a 64k ac3",
    "eac3": "-ar 48000 -c:a eac3 -b:a 64k eac3",
    "dts": "-ar 48000 -ac 2 -strict -2 -c:a dca -b:a 384k dts",
    "wv": "-c:a wavpack wv",
    "tta": "-c:a tta tta",
}
#: Files that were joined byte by byte, or chained. Each is of one codec: with two, FFmpeg takes the packets of one for the
#: other's.
_JOINED: Mapping[str, Sequence[str]] = {
    "ogg chained": ("ogg opus", "ogg opus"),
    "wav joined": ("wav pcm", "wav mu-law"),
    "mp3 joined": ("mp3", "mp3 variable, tagged"),
    "flac joined": ("flac", "flac"),
    "mp4 joined": ("m4a aac", "mp4 in fragments"),
    "mkv joined": ("webm opus", "webm opus"),
}


def seeds() -> dict[str, bytes]:
    """All seeds by name, the same bytes in every run."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        paths = [Path(folder) / str(number) for number in range(len(_MADE))]
        made = dict(zip(_MADE, pool.map(_made, _MADE.values(), paths), strict=True))
    joined = {name: b"".join(made[part] for part in parts) for name, parts in _JOINED.items()}
    return made | joined | {"gsm": _gsm()}


def _made(options: str, path: Path) -> bytes:
    *words, form = options.removeprefix("+ ").split()
    pictures = _PICTURES if options.startswith("+") else []
    read = ["-t", SECONDS, "-i", str(CLIP), *pictures]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y", *read, *words, *_SAME_EVERY_TIME, "-f", form]
    subprocess.run([*command, str(path)], check=True, stdin=subprocess.DEVNULL)
    return path.read_bytes()


def _gsm() -> bytes:
    """A GSM file. FFmpeg reads GSM but cannot write it; any bits are valid sound."""
    rng = random.Random("gsm")
    frames = int(float(SECONDS) * _GSM_FRAMES_PER_SECOND)
    return b"".join(bytes([0xD0 | rng.randrange(16)]) + rng.randbytes(_GSM_FRAME_BYTES - 1) for _ in range(frames))
