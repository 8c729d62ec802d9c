"""The proof: thousands of jobs of every kind under more than a hundred faults of every kind. A judge reads the history."""

import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.experiments.settling import audited, orphans
from tests.faults.proof.checker import judge
from tests.faults.proof.clients import Clients
from tests.faults.proof.fleet import LEASE_SECONDS, Fleet, fleet_around
from tests.faults.proof.history import Operation, Recorder, read_history
from tests.faults.proof.injector import Injector
from tests.faults.proof.observations import JobHistory, job_histories
from tests.faults.proof.partition import proxy
from tests.faults.proof.plans import job_plans
from tests.faults.proof.release import THIS, Release, last_release
from tests.faults.proof.schedule import BEHIND_PROXY, LONG_ENOUGH_SECONDS, USUAL_SECONDS, WORKERS, Kind, schedule
from tests.faults.proof.stories import Player
from tests.processes import DURABLE, ROOT
from tests.report import Finding

DEFAULT_SEED = 7
USUAL_JOBS, FAULTS = 2_000, 100
#: The actions of clients.
ASKED = ("submit", "poll", "result", "delete", "retry")
#: How many stories are played at a time.
CLIENTS = 48
#: The AOF is rewritten often, so that faults hit rewrites, too, and a restart need not read for long.
REWRITTEN_OFTEN = ("--auto-aof-rewrite-min-size", "8mb")


@dataclass(kw_only=True)
class Run:
    """One run and its outcome."""

    seed: int
    seconds: float
    jobs: int
    faults: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    done: Mapping[Kind, int] = field(default_factory=dict)
    mixed: str = ""
    left_out: str = ""


def proof(folder: Path, seconds: float | None = None, jobs: int | None = None) -> Iterator[Finding]:
    """Run the proof. The environment may set the seed (`SEED`) and the length (`MINUTES`)."""
    seconds = seconds or 60 * float(os.environ.get("MINUTES") or USUAL_SECONDS / 60)
    run = Run(
        seed=int(os.environ.get("SEED") or DEFAULT_SEED),
        seconds=seconds,
        jobs=jobs or round(USUAL_JOBS * seconds / USUAL_SECONDS),
    )
    print(f"proof: SEED={run.seed}, {run.jobs} jobs, {seconds:.0f} s, in {folder}", flush=True)
    finding = run_proof(folder / "proof", run)
    if not finding.holds:
        print(f"proof: what happened is kept in {_kept(folder / 'proof', run)}", flush=True)
    yield finding


def _kept(folder: Path, run: Run) -> Path:
    """Keep the history, the verdicts and the logs, to find the cause later; not Redis' data. Returns the folder."""
    kept = ROOT / "build" / f"proof-{run.seed}"
    shutil.rmtree(kept, ignore_errors=True)
    return Path(shutil.copytree(folder, kept, ignore=shutil.ignore_patterns("release-*", "appendonly*")))


def run_proof(folder: Path, run: Run) -> Finding:
    """Play jobs and faults together, wait until the fleet is at rest, then judge."""
    last = last_release(folder)
    with ExitStack() as stack:
        fleet = stack.enter_context(fleet_around(folder / "fleet", *DURABLE, *REWRITTEN_OFTEN))
        gate = stack.enter_context(proxy(fleet.server.port))
        _populate(fleet, last or THIS, gate.port)
        fleet.wait_ready()
        recorder = stack.enter_context(closing(Recorder(folder / "history.jsonl", time.monotonic)))
        clients = stack.enter_context(closing(Clients(fleet.urls, recorder)))
        injector = Injector(fleet, gate, recorder, run.seed)
        with fleet.kept_alive():
            _live_through(fleet, clients, injector, run, recorder.now)
            stats = audited(fleet, clients, read_history(folder / "history.jsonl"))
            run.orphans = orphans(fleet)
    run.done, run.mixed = injector.done, _mixture(last, injector, run)
    run.left_out = "" if fleet.server.has_clock else "; Redis' clock left alone: no libfaketime that works with this server"
    operations = read_history(folder / "history.jsonl")
    (folder / "stats.json").write_text(json.dumps(stats))
    run.faults = [str(fault) for fault in judge(operations, stats)]
    (folder / "faults.txt").write_text("\n".join([*run.faults, *run.orphans]))
    return _finding(run, operations)


def _mixture(last: Release | None, injector: Injector, run: Run) -> str:
    if last is None:
        return "this version alone, since there is no git history"
    return f"mixed with {last.version} for {max(injector.replaced_at, default=0.0) / run.seconds:.0%} of the run"


def _populate(fleet: Fleet, last: Release, proxied_port: int) -> None:
    """Start one gateway and one worker of the last release, and the others of this version, one of them behind the proxy."""
    fleet.add_gateway(last)
    fleet.add_gateway()
    for number in range(WORKERS):
        fleet.add_worker(last if number == 0 else THIS, proxied_port if number == BEHIND_PROXY else None)


def _live_through(fleet: Fleet, clients: Clients, injector: Injector, run: Run, now: Callable[[], float]) -> None:
    """Play the jobs and inject the faults at their times. Returns when all stories have ended and all faults are over."""
    injecting = threading.Thread(target=injector.run, args=(schedule(run.seed, run.seconds),), daemon=True)
    injecting.start()
    with ThreadPoolExecutor(CLIENTS) as stories, ThreadPoolExecutor(CLIENTS) as twins:
        player = Player(clients, twins)
        told = []
        for plan in job_plans(run.seed, run.seconds, run.jobs):
            time.sleep(max(0.0, plan.at - now()))
            told.append(stories.submit(player.play, plan))
        for story in told:
            story.result()
    injecting.join()


def _finding(run: Run, operations: Sequence[Operation]) -> Finding:
    jobs = [job for job in job_histories(operations).values() if job.acknowledged]
    done, kinds = sum(run.done.values()), Counter(fault.split(":", 1)[0] for fault in run.faults)
    wanted = round(FAULTS * run.seconds / USUAL_SECONDS) if run.seconds >= LONG_ENOUGH_SECONDS else 1
    unknown = sum(operation.status is None and operation.action in ASKED for operation in operations)
    verdict = ", ".join(f"{kinds[kind]} {kind}" for kind in ("lost", "doubled", "wrong"))
    slowest = max(map(_seconds_to_end, jobs), default=0)
    return Finding(
        experiment=f"{run.jobs} jobs (short, long, cancelled, retried, equal, batch, erased) by {CLIENTS} clients of 2 "
        f"gateways and {WORKERS} workers for {run.seconds:.0f} s, leases of {LEASE_SECONDS:g} s; kills, stops, partitions, "
        "the clock, the disk, an operator, the last release among them",
        must=f"at least {wanted} faults; the checker finds nothing: 0 lost, 0 doubled, 0 wrong, 0 orphans",
        seen=f"SEED={run.seed}, {done} faults ({_counted(run.done)}); {len(jobs)} jobs acknowledged ({_ends(jobs)}), "
        f"{len(operations)} calls and {unknown} without an answer; {run.mixed}{run.left_out}; the slowest job ended after "
        f"{slowest:.0f} s; {verdict}, {len(run.orphans)} orphans"
        + "".join(f"; {one}" for one in [*run.faults, *run.orphans][:5]),
        holds=not run.faults and not run.orphans and bool(jobs) and done >= wanted,
    )


def _counted(done: Mapping[Kind, int]) -> str:
    return ", ".join(f"{count} x {kind.value}" for kind, count in sorted(done.items(), key=lambda pair: -pair[1]))


def _ends(jobs: Sequence[JobHistory]) -> str:
    return ", ".join(f"{count} {state}" for state, count in Counter(job.observations[-1].state for job in jobs).most_common())


def _seconds_to_end(job: JobHistory) -> float:
    """Seconds from the job's first submit until a client first saw it ended."""
    ends = [seen.operation.ended for seen in job.observations if seen.is_end]
    return min(ends) - job.submits[0].began if ends else 0.0
