"""What the model knows of a job, and of the audio that is submitted."""

from dataclasses import dataclass, field

from shared.jobs.job import JobState
from shared.jobs.keys import piece_id
from tests.script_driver import KEYS

#: Kinds of lanes, the first served first; and how many jobs of other lanes may be started while one waits.
PATIENCE = {"interactive": 16, "long": 4, "batch": 16}
MODELS = ("demo", "tiny")
#: Of longer audio a worker has one job at a time.
LONG_SECONDS = 50
MAX_ATTEMPTS = 3
MOST_FOLLOWERS = 3
#: How much may wait in the lanes.
MOST_BYTES, MOST_AUDIO_MS = 120, 700_000


@dataclass(frozen=True)
class Clip:
    """An upload. `cuts`: the places at which a worker may cut it into pieces."""

    name: str
    seconds: float
    size: int
    cuts: tuple[tuple[str, ...], ...] = ()

    def __repr__(self) -> str:
        return self.name


CLIPS = (
    Clip("short", 2.0, 4),
    Clip("other", 3.5, 8),
    Clip("file", 60.0, 12, (("0-20000", "20000-40000", "40000-60000"), ("0-30000", "30000-60000"))),
)


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What a caller submits."""

    clip: Clip
    model: str
    is_batch: bool
    use_cache: bool
    has_end: bool
    #: Which options were asked for.
    options: int

    @property
    def lane(self) -> str:
        return lane_name(self.model, "batch" if self.is_batch else "long" if self.clip.cuts else "interactive")

    @property
    def digest(self) -> str:
        """Equal ones are decoded once."""
        return f"{self.model}-{self.clip.name}-{self.options}"


def lane_name(model: str, kind: str) -> str:
    return f"{KEYS.prefix}.{model}.{kind}"


def lanes_of(model: str) -> list[str]:
    return [lane_name(model, kind) for kind in PATIENCE]


@dataclass(kw_only=True)
class Record:
    """A job, or a piece of one, as it must be. A piece has a parent."""

    id: str
    model: str
    lane: str
    digest: str
    seconds: float
    size: int
    interactive: bool = True
    state: JobState = JobState.QUEUED
    attempt: int = 0
    token: int | None = None
    worker: str = ""
    execution: str | None = None
    #: The last token with which a worker put the job down, and how that was answered.
    ended_by: int | None = None
    ended_as: str | None = None
    leader: str | None = None
    #: Where its pieces wait, once somebody waits for a file that was in no hurry.
    pieces_lane: str | None = None
    is_suspect: bool = False
    audio_of: str | None = None
    #: It must have ended by a time; and that time is over.
    has_end: bool = False
    end_passed: bool = False
    parent: str | None = None
    piece: str | None = None
    pieces: int | None = None
    pieces_left: int | None = None
    put: int = 0
    segments: list[str] = field(default_factory=list)

    @property
    def audio_ms(self) -> int:
        return int(self.seconds * 1000)

    @property
    def is_over(self) -> bool:
        return self.state.is_terminal

    @property
    def is_dead(self) -> bool:
        """It may be brought back to life."""
        return self.state in (JobState.FAILED, JobState.EXPIRED)

    def piece_ids(self) -> list[str]:
        """Of all pieces that there may be something of."""
        return [piece_id(self.id, number) for number in range(1, max(self.pieces or 0, self.put) + 1)]
