"""The plain-text forms of a transcript. The two JSON forms also need the job; the gateway builds them where it shows jobs."""

import re
from collections.abc import Callable, Mapping
from enum import Enum

from shared.transcripts.transcript import Segment, Transcript, channel_name, is_of_several_channels, turns


class ResultFormat(str, Enum):
    """The forms in which a caller can ask for a result."""

    #: The canonical result.
    JSON = "json"
    #: OpenAI's verbose shape.
    VERBOSE_JSON = "verbose_json"
    TEXT = "text"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"

    @property
    def media_type(self) -> str:
        """The media type for the Content-Type header. Text forms are UTF-8."""
        return _MEDIA_TYPES[self]


_MEDIA_TYPES: Mapping[ResultFormat, str] = {
    ResultFormat.JSON: "application/json",
    ResultFormat.VERBOSE_JSON: "application/json",
    ResultFormat.TEXT: "text/plain",
    ResultFormat.SRT: "application/x-subrip",
    ResultFormat.VTT: "text/vtt",
    ResultFormat.TSV: "text/tab-separated-values",
}


def render(result_format: ResultFormat, transcript: Transcript) -> str:
    """The transcript as text, srt, vtt or tsv. Raises `ValueError` for a JSON form."""
    writer = _WRITERS.get(result_format)
    if writer is None:
        raise ValueError(f"{result_format.value} is not a text format")
    return writer(transcript)


def timestamp(seconds: float, decimal_mark: str) -> str:
    """A time as `hh:mm:ss.mmm`, with `decimal_mark` for the dot and at least two digits of hours."""
    whole, milliseconds = divmod(_milliseconds(seconds), 1000)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02d}:{minute:02d}:{second:02d}{decimal_mark}{milliseconds:03d}"


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _one_line(text: str) -> str:
    """The text on one line: a blank line would end a cue, and a line break or a tab would end a row or a column."""
    return re.sub(r"\s+", " ", text).strip()


def _text(transcript: Transcript) -> str:
    if not is_of_several_channels(transcript.segments):
        return transcript.transcript + "\n"
    return "".join(f"{channel_name(channel)}: {said}\n" for channel, said in turns(transcript.segments))


def _srt(transcript: Transcript) -> str:
    named = is_of_several_channels(transcript.segments)
    cues = enumerate(transcript.segments, start=1)
    return "".join(
        f"{number}\n{_span(segment, ',')}\n{_speaker(segment) if named else ''}{_cue_text(segment)}\n\n"
        for number, segment in cues
    )


def _vtt(transcript: Transcript) -> str:
    cues = (f"{_span(segment, '.')}\n{_voice(segment)}{_vtt_text(segment)}\n\n" for segment in transcript.segments)
    return "WEBVTT\n\n" + "".join(cues)


def _tsv(transcript: Transcript) -> str:
    named = is_of_several_channels(transcript.segments)
    rows = (
        f"{_milliseconds(s.start)}\t{_milliseconds(s.end)}\t{_speaker(s) if named else ''}{_one_line(s.text)}\n"
        for s in transcript.segments
    )
    return "start\tend\ttext\n" + "".join(rows)


def _speaker(segment: Segment) -> str:
    return f"{channel_name(segment.channel)}: "


def _voice(segment: Segment) -> str:
    """WebVTT's tag for the speaker; empty if the channels are not split."""
    return f"<v {channel_name(segment.channel)}>" if segment.channel is not None else ""


def _span(segment: Segment, decimal_mark: str) -> str:
    return f"{timestamp(segment.start, decimal_mark)} --> {timestamp(segment.end, decimal_mark)}"


def _cue_text(segment: Segment) -> str:
    """The text of a cue. An arrow in it would be read as the times of a cue, so it is replaced, as Whisper's own writers do."""
    return _one_line(segment.text).replace("-->", "->")


def _vtt_text(segment: Segment) -> str:
    """The text of a WebVTT cue, which is markup: `&` and `<` (any tag) must be escaped. To escape `>` breaks up arrows."""
    return _one_line(segment.text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


_WRITERS: Mapping[ResultFormat, Callable[[Transcript], str]] = {
    ResultFormat.TEXT: _text,
    ResultFormat.SRT: _srt,
    ResultFormat.VTT: _vtt,
    ResultFormat.TSV: _tsv,
}
