"""What is wanted of a file's sound."""

from enum import Enum

from pydantic import BaseModel, ConfigDict

#: What Whisper hears.
SAMPLE_RATE_HZ = 16_000
#: Slower has no speech in it, and a second of it would become thousands of samples for each one; faster nobody records.
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 8
#: Some programs write floats as large as 16-bit numbers; what is larger than this is no sound.
LOUDEST_SAMPLE = 1e6
#: Another one whenever the same file may give other samples: what was decoded before is not served from the cache then.
READING_REVISION = "audio2"


class Channels(str, Enum):
    """What becomes of several channels."""

    #: They are one sound; where they cancel each other, it is the louder one.
    MIX = "mix"
    #: Each is a speaker of its own.
    SPLIT = "split"


class Wanted(BaseModel):
    """What is to be made of a file. `track` counts from 1; None: the default one."""

    model_config = ConfigDict(frozen=True)

    max_seconds: float
    track: int | None = None
    channels: Channels = Channels.MIX
    normalize: bool = False
    enhance: bool = False
