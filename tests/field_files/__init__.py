"""Files as they come in from the field: every container, with every kind of damage that it can have, made from the demo clips.

- `workshop`: clips on a timeline, the recipes of FFmpeg's encoders, and the reference for a file
- `damaged`: whole, cut short, overwritten, entered in the middle, or behind something else
- `joined`: joined byte by byte, chained, or with flags and tags that are wrong about the end
- `clocks`: sound that starts late, gaps, clocks that begin anywhere
- `headers`: lengths and numbers that are wrong, and the codecs of a wav
- `tracks`: several tracks, and several channels
"""

from tests.field_files import clocks, damaged, headers, joined, tracks
from tests.field_files.workshop import FieldFile, Workshop

__all__ = ["FIELD_FILES", "FieldFile", "Workshop"]

FIELD_FILES: list[FieldFile] = [
    *damaged.plain(),
    *damaged.truncated(),
    *damaged.overwritten(),
    *damaged.entered(),
    *damaged.junk(),
    *joined.joined(),
    *joined.joined_of_three(),
    *joined.of_other_shape(),
    *joined.lying(),
    *joined.lost_pages(),
    *clocks.late(),
    *clocks.gaps(),
    *clocks.begun_elsewhere(),
    *headers.wavs(),
    *headers.wav_codecs(),
    *headers.lengths(),
    *tracks.tracks(),
    *tracks.channels(),
]
