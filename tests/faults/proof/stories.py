"""Plays the story of one job as a client, until the job has ended."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from tests.audio_files import with_soundfile
from tests.faults.proof.clients import Client, Clients
from tests.faults.proof.history import Operation
from tests.faults.proof.observations import RETRYABLE, TERMINAL
from tests.faults.proof.plans import LONG_PIECES, JobPlan, Story
from tests.faults.zoo import Animal, clip

SAMPLE_RATE_HZ = 16_000
#: Without VAD, a file is cut after this number of samples. Each piece has its message at its beginning.
PIECE_SAMPLES = 29_500 * SAMPLE_RATE_HZ // 1000
LAST_PIECE_SECONDS = 5
LONG_POLL_SECONDS = 5.0
GLANCE_SECONDS = 0.3
#: A client gives up after this time; the checker judges what became of the job.
GIVE_UP_SECONDS = 180.0
MOST_RETRIES = 6


class Player:
    """Plays the stories of a run, each with the client of the calling thread."""

    def __init__(self, clients: Clients, twins: ThreadPoolExecutor) -> None:
        self._clients, self._twins = clients, twins

    def play(self, plan: JobPlan) -> None:
        """Play one story, from the submit to the job's end."""
        client = self._clients.mine()
        wait = LONG_POLL_SECONDS if plan.story is Story.SHORT and plan.number % 3 == 0 else 0.0
        if plan.story is Story.TWICE:
            twin = self._twins.submit(lambda: acknowledged(self._clients.mine(), plan))
            submitted = acknowledged(client, plan)
            twin.result()
        else:
            submitted = acknowledged(client, plan, wait)
        if submitted is None or submitted.seen is None:
            return
        job = submitted.seen.job
        if plan.story is Story.CANCELED:
            client.pause(plan.patience)
            client.answered(lambda: client.delete(job))
        ended = _followed(client, job, glances=plan.story in (Story.POLLED, Story.LONG))
        if plan.story in (Story.FAILING, Story.HASTY):
            ended = _retried(client, job, ended, 1 if plan.story is Story.FAILING else MOST_RETRIES)
        if plan.story is Story.ERASED and ended:
            _erased(client, job)
        elif ended:
            client.answered(lambda: client.result(job))


def audio_of(plan: JobPlan) -> bytes:
    """The audio of a plan's job, as a WAV file."""
    if plan.story is Story.FAILING:
        return clip(Animal.RAISE, plan.number, plan.milliseconds)
    if plan.story is not Story.LONG:
        return clip(Animal.GOOD, plan.number, plan.milliseconds)
    samples = np.full(PIECE_SAMPLES * (LONG_PIECES - 1) + LAST_PIECE_SECONDS * SAMPLE_RATE_HZ, 100, np.int16)
    for piece in range(LONG_PIECES):
        at = piece * PIECE_SAMPLES
        samples[at : at + 5] = Animal.GOOD, plan.number + piece, 0, plan.milliseconds, -32768
    return with_soundfile((samples / 32768).astype(np.float32), "WAV", "PCM_16")


def query_of(plan: JobPlan) -> dict[str, str]:
    """The query parameters of a plan's submit."""
    return {
        Story.LONG: {"vad": "false"},
        Story.BATCH: {"priority": "batch"},
        Story.HASTY: {"start_deadline_seconds": "1", "priority": "batch"},
    }.get(plan.story, {})


def acknowledged(client: Client, plan: JobPlan, wait: float = 0) -> Operation | None:
    """Submit with the same key until a gateway answers with the job. None if it is refused for good, or after GIVE_UP_SECONDS."""
    audio, began = audio_of(plan), client.now()
    while client.now() < began + GIVE_UP_SECONDS:
        operation = client.submit(audio, plan.key, query_of(plan), plan.said, wait)
        if operation.seen is not None:
            return operation
        if operation.status is not None and operation.status < 500 and operation.status != 429:
            return None
    return None


def _followed(client: Client, job: str, glances: bool) -> str:
    """Follow a job to its end, and return that state; empty if the job is gone or the client gives up.

    `glances`: many short polls instead of long-polls.
    """
    began = client.now()
    while client.now() < began + GIVE_UP_SECONDS:
        operation = client.poll(job, 0 if glances else LONG_POLL_SECONDS)
        if operation.seen is not None and operation.seen.state in TERMINAL:
            return operation.seen.state
        if operation.status in (404, 410):
            return ""
        if glances:
            client.pause(GLANCE_SECONDS)
    return ""


def _retried(client: Client, job: str, ended: str, times: int) -> str:
    """Retry a job until it ends otherwise than failed or expired, `times` times at most. Returns its last end."""
    for _ in range(times):
        if ended not in RETRYABLE:
            break
        client.answered(lambda: client.retry(job))
        ended = _followed(client, job, glances=False)
    return ended


def _erased(client: Client, job: str) -> None:
    """Delete a job until it is gone."""
    began = client.now()
    while client.now() < began + GIVE_UP_SECONDS:
        if client.delete(job).status in (204, 410):
            client.poll(job)
            return
