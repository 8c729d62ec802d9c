"""The synthetic voices: which are trained on, which are held out, and how one is asked to speak."""

import io
import random
import subprocess
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000

ESPEAK_ACCENTS = ("en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-029", "en-gb-x-gbclan", "en-us-nyc")
#: The variants that carry half of the espeak-ng share; "" is the plain accent.
ESPEAK_CORE = ("", *"m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 klatt klatt2 adam Alex linda steph michael".split())
ESPEAK_MORE = tuple(
    "Andrea Annie Antonio Auntie Belinda Benjamin Boris Caleb David Diogo Ed Edward Edward2 Gene Gene2 Gustave "
    "Henrique Iven Iven2 Iven3 Iven4 Jacky John Kaukovalta Lee Marcelo Marco Mario Max Michel Miguel Mike "
    "Mr_Serious Nguyen Pablo Paul Pedro Quincy RicishayMax RicishayMax2 RicishayMax3 Rob Robert Robosoft Robosoft2 "
    "Robosoft4 Robosoft7 Robosoft8 Steph2 Steph3 Tweaky Zac m8 grandpa grandma klatt3 klatt4 klatt5 klatt6 norbert "
    "sandro shelby travis victor".split()
)
FLITE = ("kal", "kal16", "awb", "slt")

#: Never trained on, nor any variant derived from them: they measure voices the model has not heard.
HELD_OUT = tuple(("espeak", v) for v in "Andy Hugo anika Denis Storm Alicia".split()) + (("flite", "rms"),)


@dataclass(frozen=True, kw_only=True)
class Voice:
    """One way to say a sentence."""

    engine: str
    name: str
    speed: float
    pitch: int = 50

    def say(self, text: str) -> NDArray[np.float32]:
        """Mono float32 samples at 16 kHz, silence trimmed from both ends."""
        if self.engine == "espeak":
            command = ["espeak-ng", "--stdout", "-v", self.name, "-s", str(int(self.speed)), "-p", str(self.pitch), text]
        else:
            command = ["flite", "-voice", self.name, "--setf", f"duration_stretch={self.speed:.3f}", "-t", text]
            command += ["-o", "/dev/stdout"]
        wav = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
        return _trim(_read(wav))


def trained_voice(rng: random.Random) -> Voice:
    """A voice of the training distribution: 85 % espeak-ng, 15 % flite."""
    if rng.random() < 0.15:
        return Voice(engine="flite", name=rng.choice(FLITE), speed=rng.uniform(0.85, 1.25))
    variant = rng.choice(ESPEAK_CORE if rng.random() < 0.5 else ESPEAK_MORE)
    return _espeak(rng, variant)


def held_out_voice(rng: random.Random) -> Voice:
    """One of the voices the model never hears in training."""
    engine, name = rng.choice(HELD_OUT)
    if engine == "flite":
        return Voice(engine="flite", name=name, speed=rng.uniform(0.85, 1.25))
    return _espeak(rng, name)


def _espeak(rng: random.Random, variant: str) -> Voice:
    accent = rng.choice(ESPEAK_ACCENTS)
    name = f"{accent}+{variant}" if variant else accent
    return Voice(engine="espeak", name=name, speed=rng.uniform(125, 200), pitch=rng.randint(25, 75))


def _read(wav: bytes) -> NDArray[np.float32]:
    """Samples at 16 kHz. Both engines stream a header with a length they do not know yet, so the length is mended."""
    start = wav.index(b"data") + 8
    fixed = wav[: start - 4] + (len(wav) - start).to_bytes(4, "little") + wav[start:]
    fixed = fixed[:4] + (len(fixed) - 8).to_bytes(4, "little") + fixed[8:]
    samples, rate = soundfile.read(io.BytesIO(fixed), dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    return np.asarray(soxr.resample(mono, rate, SAMPLE_RATE_HZ, quality="HQ"), dtype=np.float32)


def _trim(samples: NDArray[np.float32], threshold: float = 0.01) -> NDArray[np.float32]:
    loud = np.flatnonzero(np.abs(samples) > threshold * max(1e-6, float(np.abs(samples).max(initial=0))))
    if not len(loud):
        return samples[:0]
    margin = int(0.02 * SAMPLE_RATE_HZ)
    return samples[max(0, loud[0] - margin) : loud[-1] + margin]
