"""Plain wav: decoded without a native parser, and so without a wall."""

import numpy as np

from shared.audio.content import KEPT_BYTES, Content, forget
from shared.audio.findings import Heard, Skipped, decoded
from shared.audio.report import Decoded
from shared.audio.request import Wanted
from shared.audio.sound import Samples, Sound, SoundFull, normalize
from shared.audio.wav import PlainWav, plain_info
from shared.errors import AudioTooLong

PCM_16_FULL_SCALE = np.float32(1 << 15)
BLOCK_FRAMES = 1 << 16


def decode_plain(content: Content, wav: PlainWav, wanted: Wanted, buffer: Samples) -> Decoded:
    """Decode into a buffer of zeros: shape (1, samples), or (channels, samples) for split channels.

    Without `normalize` the samples are bit by bit those of libsndfile. `enhance` is not done here: it needs FFmpeg's filters.
    Raises `AudioTooLong` when the buffer is too small.
    """
    sound, read_bytes = Sound(buffer), 0
    frames = np.frombuffer(content, "<i2", offset=wav.data_at).reshape(-1, wav.channels)
    try:
        for start in range(0, len(frames), BLOCK_FRAMES):
            block = frames[start : start + BLOCK_FRAMES].astype(np.float32)
            block /= PCM_16_FULL_SCALE
            sound.add(block, wav.rate_hz)
            read_bytes += block.nbytes // 2
            if read_bytes > KEPT_BYTES:
                read_bytes = 0
                forget(content)
        filled = sound.finish()
    except SoundFull as error:
        raise AudioTooLong(f"The audio is longer than the {wanted.max_seconds:.0f} s that are allowed; split it.") from error
    if wanted.normalize:
        normalize(filled, sound.spans)
    return decoded(filled, sound, plain_info(wav), Heard(promised=None, found=wav.seconds), Skipped())
