"""The zoo, with what an animal says in its segment: so the transcript of a long file tells which pieces it is made of.

Workers of the last release run this, too, on the zoo and the engine protocol of that release: it imports nothing else.
"""

from typing import Any

from tests.faults.zoo import ZooEngine


class NumberedEngine(ZooEngine):
    """`WHISPER_ENGINE=tests.faults.numbered:NumberedEngine`."""

    def transcribe(self, samples: Any, options: Any, preprocess_ms: float, listener: Any) -> Any:
        """One segment, which says the number."""
        transcript = super().transcribe(samples, options, preprocess_ms, listener)
        whole = {"id": 0, "start": 0.0, "end": transcript.duration, "text": transcript.transcript}
        segments = [segment.model_copy(update=whole) for segment in transcript.segments[:1]]
        return transcript.model_copy(update={"segments": segments})
