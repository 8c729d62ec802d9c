"""The accepted formats, each with FFmpeg's name for it and how it is read. `docs/api.md` lists this table."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Container(str, Enum):
    """A file format, or a stream of frames without a file around them, that carries audio (and maybe video)."""

    WAV = "wav"
    W64 = "w64"
    FLAC = "flac"
    OGG = "ogg"
    MP3 = "mp3"
    MP4 = "mp4"
    AAC = "aac"
    LATM = "latm"
    WEBM = "webm"
    AIFF = "aiff"
    CAF = "caf"
    AU = "au"
    AMR = "amr"
    GSM = "gsm"
    ASF = "asf"
    AVI = "avi"
    FLV = "flv"
    MPEG_TS = "ts"
    MPEG_PS = "mpg"
    AC3 = "ac3"
    EAC3 = "eac3"
    DTS = "dts"
    WAVPACK = "wv"
    TTA = "tta"


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How a container is read.

    `demuxer`: FFmpeg's name for the format; no other demuxer is ever tried. `keeps_time`: the packets carry timestamps, so gaps
    are known; the sound of other formats is one frame after the other. `restarts`: the clock may jump without meaning a gap, as
    that of a broadcast does. `exact`: the length that the header states is the length of the sound, to the millisecond.
    `promises_all`: the stated length counts from the beginning of the file, and so includes a late start of the sound.
    """

    describes: str
    demuxer: str
    keeps_time: bool = False
    restarts: bool = False
    exact: bool = True
    promises_all: bool = False


FORMS: Mapping[Container, Form] = {
    Container.WAV: Form(describes="wav: RIFF, RF64, BW64; PCM, float, mu-law, A-law, ADPCM, GSM", demuxer="wav"),
    Container.W64: Form(describes="Sony Wave64", demuxer="w64"),
    Container.FLAC: Form(describes="FLAC", demuxer="flac", keeps_time=True),
    Container.OGG: Form(
        describes="Ogg: Opus, Vorbis, FLAC, Speex; also chained", demuxer="ogg", keeps_time=True, restarts=True, exact=False
    ),
    Container.MP3: Form(describes="MPEG audio: MP3, MP2, MP1", demuxer="mp3"),
    Container.MP4: Form(describes="MP4, M4A, MOV, 3GP; also fragmented", demuxer="mov", keeps_time=True),
    Container.AAC: Form(describes="AAC in ADTS frames", demuxer="aac"),
    Container.LATM: Form(describes="AAC in LATM (LOAS) frames", demuxer="loas"),
    Container.WEBM: Form(describes="WebM, Matroska", demuxer="matroska", keeps_time=True, exact=False),
    Container.AIFF: Form(describes="AIFF, AIFF-C", demuxer="aiff"),
    Container.CAF: Form(describes="Core Audio", demuxer="caf"),
    Container.AU: Form(describes="Sun/NeXT au", demuxer="au"),
    Container.AMR: Form(describes="AMR, narrow and wide band", demuxer="amr"),
    Container.GSM: Form(describes="GSM 06.10 frames", demuxer="gsm"),
    Container.ASF: Form(describes="ASF, WMA, WMV", demuxer="asf", keeps_time=True, exact=False, promises_all=True),
    Container.AVI: Form(describes="AVI", demuxer="avi", keeps_time=True, exact=False, promises_all=True),
    Container.FLV: Form(describes="Flash video", demuxer="flv", keeps_time=True, exact=False),
    Container.MPEG_TS: Form(
        describes="MPEG transport stream (also M2TS)", demuxer="mpegts", keeps_time=True, restarts=True, exact=False
    ),
    Container.MPEG_PS: Form(describes="MPEG program stream (VOB)", demuxer="mpeg", keeps_time=True, restarts=True, exact=False),
    Container.AC3: Form(describes="AC-3", demuxer="ac3"),
    Container.EAC3: Form(describes="E-AC-3", demuxer="eac3"),
    Container.DTS: Form(describes="DTS", demuxer="dts"),
    Container.WAVPACK: Form(describes="WavPack", demuxer="wv"),
    Container.TTA: Form(describes="TTA", demuxer="tta"),
}
