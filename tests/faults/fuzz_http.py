"""Sends broken files to a real gateway, and follows their jobs in a real worker."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from shared.errors import AudioTooLong, AudioTooShort, EmptyAudio, MalformedAudio, NotAudio, UnsupportedAudio
from tests.faults.fuzz_mutations import Mutant, mutant
from tests.processes import Stack, model_process, running_stack
from tests.report import Finding

CLIENTS, WAIT_SECONDS, MOST_WAITS = 8, 60, 4
#: Error codes with which a job may end when its file is at fault.
_THE_FILES_FAULT = {one.code for one in (AudioTooLong, AudioTooShort, EmptyAudio, MalformedAudio, NotAudio, UnsupportedAudio)}


@dataclass
class Sent:
    """The outcomes of all files. `faults`: outcomes that must not occur."""

    kinds: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


def send(stack: Stack, numbers: Sequence[int], files: Mapping[str, bytes]) -> Sent:
    """Send the files from several clients at once; each client waits for its jobs."""
    sent, before = Sent(), _pids(stack)

    def one_client(share: Sequence[int]) -> None:
        with stack.client() as client:
            for number in share:
                _send_one(client, mutant(number, files), sent)

    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one_client, [numbers[first::CLIENTS] for first in range(CLIENTS)]))
    after = _pids(stack)
    sent.faults += [f"{name} died" for name, pid in before.items() if after[name] != pid and not _recycled(stack)]
    return sent


def _recycled(stack: Stack) -> bool:
    """Whether a model process was replaced after its thousand jobs: then it did not die."""
    return any("model_recycling" in worker.log_text() for worker in stack.workers)


def over_http(folder: Path, numbers: Sequence[int], files: Mapping[str, bytes]) -> list[Finding]:
    """Send all of these to a fleet of one gateway and one worker."""
    # The settings keep the model process for the whole run, and keep a file from becoming hours of silence.
    with running_stack(
        folder / "fleet", RECYCLE_AFTER_JOBS="0", RECYCLE_ABOVE_RSS_MB="0", MAX_AUDIO_LENGTH_SECONDS="300"
    ) as stack:
        sent = send(stack, numbers, files)
    kinds = ", ".join(f"{count} {kind}" for kind, count in sent.kinds.most_common())
    faults = f"; {len(sent.faults)} faults, such as {'; '.join(sent.faults[:20])}" if sent.faults else ""
    return [
        Finding(
            experiment=f"{len(numbers)} of the mutations over HTTP, by {CLIENTS} clients that wait for their jobs",
            must="no status from 500; each job completes or fails for its audio; the same processes at the end",
            seen=kinds + faults,
            holds=not sent.faults,
        )
    ]


def _send_one(client: httpx.Client, broken: Mutant, sent: Sent) -> None:
    told = f"{broken.number} ({broken.seed})"
    try:
        answer = client.post(f"/v1/jobs?wait={WAIT_SECONDS}", content=broken.content)
        kind = _end(client, answer) if answer.status_code < 300 else f"{answer.status_code} {answer.json()['code']}"
    except (httpx.HTTPError, ValueError, KeyError) as error:
        sent.faults.append(f"{told}: {type(error).__name__} {error}")
        return
    sent.kinds[kind] += 1
    words = kind.split()
    is_well = kind == "completed" or (words[0] == "failed" and words[1] in _THE_FILES_FAULT) or kind < "500"
    if not is_well:
        sent.faults.append(f"{told}: {kind}")


def _end(client: httpx.Client, answer: httpx.Response) -> str:
    """How a job ended: `completed`, or `failed` with its code; its state if it did not end in time."""
    job = answer.json()
    for _ in range(MOST_WAITS):
        if job["status"] not in ("queued", "running"):
            break
        job = client.get(f"/v1/jobs/{job['job_id']}?wait={WAIT_SECONDS}").raise_for_status().json()
    return " ".join([job["status"], *([job["error"]["code"]] if job["error"] else [])])


def _pids(stack: Stack) -> dict[str, int]:
    """Process ids of everything that must stay alive; -1 for a process that ended."""
    running = {f"gateway {i}": one for i, one in enumerate(stack.gateways)}
    running |= {f"worker {i}": one for i, one in enumerate(stack.workers)}
    pids = {name: one.pid if one.process.poll() is None else -1 for name, one in running.items()}
    models = {f"model process {i}": model_process(one.pid).pid for i, one in enumerate(stack.workers)}
    return pids | models
