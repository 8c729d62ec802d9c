"""What a decoder has said, without a decoder."""

from dataclasses import dataclass, field


@dataclass
class Spoken:
    """A result as CTranslate2 gives it: scores are sums of log probabilities over the length."""

    tokens: list[int]
    score: float = -0.2
    no_speech_prob: float = 0.1
    sequences_ids: list[list[int]] = field(init=False)
    scores: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.sequences_ids, self.scores = [self.tokens], [self.score]
