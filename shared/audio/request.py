"""What the caller wants from a file's sound."""

from enum import Enum

from pydantic import BaseModel, ConfigDict

#: The sample rate of Whisper's input.
SAMPLE_RATE_HZ = 16_000
#: A lower rate cannot carry speech, and each of its samples would become many: up to thousands. No recorder uses a higher rate.
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 768_000
MAX_CHANNELS = 8
#: Some programs write floats as large as 16-bit numbers. Larger values are not sound.
LOUDEST_SAMPLE = 1e6
#: Change this whenever the same file may give other samples: transcripts of the earlier samples are then not served from the
#: cache.
READING_REVISION = "audio2"


class Channels(str, Enum):
    """How several channels are treated."""

    #: The channels are mixed into one sound; where they cancel each other, the louder one is taken.
    MIX = "mix"
    #: Each channel is a separate speaker.
    SPLIT = "split"


class Wanted(BaseModel):
    """How a file is to be decoded. `track` counts from 1; None: the default one."""

    model_config = ConfigDict(frozen=True)

    max_seconds: float
    track: int | None = None
    channels: Channels = Channels.MIX
    normalize: bool = False
    enhance: bool = False
