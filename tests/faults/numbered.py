"""The zoo, with the number of a clip as its segment. So the transcript of a long file shows the pieces of which it is made.

Workers of the last release run this file, too, on that release's own zoo and engine protocol. So it imports nothing else.
"""

from typing import Any

from tests.faults.zoo import ZooEngine


class NumberedEngine(ZooEngine):
    """`WHISPER_ENGINE=tests.faults.numbered:NumberedEngine`."""

    def transcribe(self, samples: Any, options: Any, preprocess_ms: float, listener: Any) -> Any:
        """The zoo's transcript, with one segment whose text is the number."""
        transcript = super().transcribe(samples, options, preprocess_ms, listener)
        whole = {"id": 0, "start": 0.0, "end": transcript.duration, "text": transcript.transcript}
        segments = [segment.model_copy(update=whole) for segment in transcript.segments[:1]]
        return transcript.model_copy(update={"segments": segments})
