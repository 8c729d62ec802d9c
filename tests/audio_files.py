"""Audio made for tests: valid in every format that we promise, and broken in every way that we have seen."""

import io
import struct
from collections.abc import Callable

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from tests.processes import ROOT

RATE_HZ = 16_000


def tone(seconds: float = 1.0, rate_hz: int = RATE_HZ) -> NDArray[np.float32]:
    """A quiet 220 Hz tone."""
    t = np.arange(int(seconds * rate_hz)) / rate_hz
    return (0.2 * np.sin(2 * np.pi * 220 * t)).astype(np.float32)


def with_soundfile(samples: NDArray[np.float32], container: str, subtype: str, rate_hz: int = RATE_HZ) -> bytes:
    """Encoded by libsndfile: WAV, FLAC, OGG (VORBIS or OPUS), MP3, AIFF, CAF."""
    out = io.BytesIO()
    soundfile.write(out, samples, rate_hz, format=container, subtype=subtype)
    return out.getvalue()


def with_av(samples: NDArray[np.float32], container: str, codec: str, rate_hz: int = 48_000) -> bytes:
    """Encoded by FFmpeg: mp4 or ipod (m4a) with aac, adts, webm or matroska with libopus."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as opened:
        stream = opened.add_stream(codec, rate=rate_hz, layout="mono")
        resampler = av.AudioResampler(format=stream.codec_context.format, layout="mono", rate=rate_hz)
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout="mono")
        frame.sample_rate = RATE_HZ
        fifo = av.AudioFifo()
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            fifo.write(resampled)
        while chunk := fifo.read(960 if codec == "libopus" else 1024, partial=True):
            opened.mux(stream.encode(chunk))
        opened.mux(stream.encode(None))
    return out.getvalue()


def wav(seconds: float = 1.0) -> bytes:
    """The usual case: a 16-bit mono wav."""
    return with_soundfile(tone(seconds), "WAV", "PCM_16")


#: Every promised format, by a short name.
FORMATS: dict[str, Callable[[NDArray[np.float32]], bytes]] = {
    "wav 16 bit": lambda s: with_soundfile(s, "WAV", "PCM_16"),
    "wav 8 bit": lambda s: with_soundfile(s, "WAV", "PCM_U8"),
    "wav 24 bit": lambda s: with_soundfile(s, "WAV", "PCM_24"),
    "wav float": lambda s: with_soundfile(s, "WAV", "FLOAT"),
    "wav mu-law": lambda s: with_soundfile(s, "WAV", "ULAW"),
    "wav stereo 44.1 kHz": lambda s: with_soundfile(np.stack([s, s], axis=1), "WAV", "PCM_16", 44_100),
    "wav 8 kHz": lambda s: with_soundfile(s[::2], "WAV", "PCM_16", 8_000),
    "flac": lambda s: with_soundfile(s, "FLAC", "PCM_16"),
    "ogg vorbis": lambda s: with_soundfile(s, "OGG", "VORBIS"),
    "ogg opus": lambda s: with_soundfile(s, "OGG", "OPUS"),
    "mp3": lambda s: with_soundfile(s, "MP3", "MPEG_LAYER_III"),
    "aiff": lambda s: with_soundfile(s, "AIFF", "PCM_16"),
    "m4a": lambda s: with_av(s, "ipod", "aac"),
    "mp4": lambda s: with_av(s, "mp4", "aac"),
    "aac": lambda s: with_av(s, "adts", "aac"),
    "webm opus": lambda s: with_av(s, "webm", "libopus"),
}


def wav_header(
    rate_hz: int = RATE_HZ, channels: int = 1, bits: int = 16, claimed_bytes: int = 32_000, data: bytes = b""
) -> bytes:
    """A hand-made wav whose header may claim anything."""
    align = channels * bits // 8
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, channels, rate_hz, (rate_hz * align) & 0xFFFFFFFF, align, bits)
    body = b"WAVE" + fmt + struct.pack("<4sI", b"data", claimed_bytes) + data
    return struct.pack("<4sI", b"RIFF", (len(body) + claimed_bytes - len(data)) & 0xFFFFFFFF) + body


def flac_claiming(seconds: float) -> bytes:
    """A valid short flac whose header promises another length (total samples: 36 bits from byte 21)."""
    content = bytearray(with_soundfile(tone(), "FLAC", "PCM_16"))
    total = int(seconds * RATE_HZ)
    content[21] = (content[21] & 0xF0) | (total >> 32)
    content[22:26] = (total & 0xFFFFFFFF).to_bytes(4, "big")
    return bytes(content)


def float_wav_with(value: float) -> bytes:
    """A float wav in which one sample is `value`."""
    samples = tone()
    samples[5000] = value
    return with_soundfile(samples, "WAV", "FLOAT")


def long_speech(seconds: float, seed: int) -> bytes:
    """A wav of `seconds`: clips that the demo model knows, in random order by `seed`, with pauses."""
    rng = np.random.default_rng(seed)
    paths = sorted((ROOT / "models" / "demo" / "clips").glob("everyday_*.wav"))
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < seconds * 16_000:
        samples, _ = soundfile.read(paths[rng.integers(len(paths))], dtype="float32")
        parts += [samples, np.zeros(int(rng.uniform(0.1, 0.8) * 16_000), np.float32)]
    joined = np.concatenate(parts)[: int(seconds * 16_000)]
    return with_soundfile(joined + rng.normal(0, 0.001, len(joined)).astype(np.float32), "WAV", "PCM_16")
