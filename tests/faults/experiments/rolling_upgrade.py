"""The last release is replaced by this version, one process after another, while clients go on; then all once more."""

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

from tests.faults.experiments.settling import audited, orphans
from tests.faults.proof.checker import judge
from tests.faults.proof.clients import Clients
from tests.faults.proof.fleet import Fleet, fleet_around
from tests.faults.proof.history import Operation, Recorder, read_history
from tests.faults.proof.plans import JobPlan, Story, job_plans
from tests.faults.proof.release import THIS, last_release
from tests.faults.proof.stories import Player
from tests.processes import DURABLE
from tests.report import Finding

CLIENTS, GATEWAYS, WORKERS = 12, 2, 2
JOBS_PER_SECOND = 10.0
#: Longer than the replacing takes: the clients stop when it is over.
LONGEST_SECONDS = 180.0
SEED = 1


def rolling_upgrade(folder: Path) -> Iterator[Finding]:
    """Replace gateways and workers in turn. The second round replaces this version by itself, like a deploy of new settings."""
    last = last_release(folder)
    with ExitStack() as stack:
        fleet = stack.enter_context(fleet_around(folder / "fleet", *DURABLE))
        for _ in range(GATEWAYS):
            fleet.add_gateway(last or THIS)
        for _ in range(WORKERS):
            fleet.add_worker(last or THIS)
        fleet.wait_ready()
        recorder = stack.enter_context(closing(Recorder(folder / "history.jsonl", time.monotonic)))
        clients = stack.enter_context(closing(Clients(fleet.urls, recorder)))
        with fleet.kept_alive():
            upgraded = _replace_all(fleet, clients, recorder)
            stats = audited(fleet, clients, read_history(folder / "history.jsonl"))
            left = orphans(fleet)
    operations = read_history(folder / "history.jsonl")
    faults = [*map(str, judge(operations, stats)), *left]
    yield _finding(operations, faults, last.version if last else "this version (no git history)", upgraded)


def _replace_all(fleet: Fleet, clients: Clients, recorder: Recorder) -> dict[str, float]:
    """Replace all members while clients submit and follow jobs. Returns when the last of these jobs has ended.

    The result says for each member since when it is of this version (seconds since the history began).
    """
    over, upgraded = threading.Event(), dict[str, float]()

    def replace_in_turn() -> None:
        try:
            for name in (*fleet.members, *fleet.members):
                fleet.replace(name, THIS)
                upgraded.setdefault(name, recorder.now())
        finally:
            over.set()

    replacing = threading.Thread(target=replace_in_turn, daemon=True)
    replacing.start()
    with ThreadPoolExecutor(CLIENTS) as stories, ThreadPoolExecutor(CLIENTS) as twins:
        player = Player(clients, twins)
        told = [stories.submit(player.play, plan) for plan in _as_time_goes_by(recorder, over)]
        for story in told:
            story.result()
    replacing.join()
    return upgraded


def _as_time_goes_by(recorder: Recorder, over: threading.Event) -> Iterator[JobPlan]:
    """Yield each plan at its time, until the replacing is over. Plans of jobs that fail or expire are left out."""
    for plan in job_plans(SEED, LONGEST_SECONDS, round(LONGEST_SECONDS * JOBS_PER_SECOND)):
        if over.wait(max(0.0, plan.at - recorder.now())):
            return
        if plan.story not in (Story.FAILING, Story.HASTY):
            yield plan


def _finding(operations: Sequence[Operation], faults: Sequence[str], last: str, upgraded: Mapping[str, float]) -> Finding:
    answers = Counter(operation.lost or ("503" if operation.status == 503 else "") for operation in operations)
    late = [one for one in operations if one.lost in ("broken", "timeout")]
    ours = [one for one in late if one.ended > upgraded.get(one.asked, float("inf"))]
    jobs = len({operation.subject for operation in operations if operation.subject})
    processes = GATEWAYS + WORKERS
    return Finding(
        experiment=f"{processes} processes of {last} replaced one by one by this version under {JOBS_PER_SECOND:g} jobs/s, and "
        f"these by themselves ({2 * processes} x SIGTERM)",
        must="0 lost, 0 client errors but 503 with Retry-After; a gateway that leaves finishes its answers",
        seen=f"{jobs} jobs, {len(operations)} calls: {len(ours)} broken "
        f"off or without an answer (and {len(late) - len(ours)} by gateways of {last}, which cannot be mended any more), "
        f"{answers['503']} of 503; {answers['refused']} connections refused by a gateway that was being replaced (the client "
        f"asks the other one); {len(faults)} faults" + "".join(f"; {fault}" for fault in faults[:5]),
        holds=not faults and not ours and len(upgraded) == processes,
    )
