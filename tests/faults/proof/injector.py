"""Injects the faults of a schedule into a fleet, and records each fault that was done."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

from tests.faults.proof.fleet import Fleet
from tests.faults.proof.history import Operation, Recorder
from tests.faults.proof.operators import Operator
from tests.faults.proof.partition import Proxy
from tests.faults.proof.release import THIS
from tests.faults.proof.schedule import Disturbance, Kind
from tests.processes import model_process, wait_until

#: How long to wait for the model process of a worker that was just started.
MODEL_SECONDS = 10.0


class Injector:
    """Runs each fault at its time, in a thread of its own."""

    def __init__(self, fleet: Fleet, proxy: Proxy, recorder: Recorder, seed: int) -> None:
        self._fleet, self._proxy, self._recorder = fleet, proxy, recorder
        self._operator = Operator(fleet, recorder, random.Random(f"operator {seed}"))
        self._partition = threading.Lock()
        self._done: Counter[Kind] = Counter()
        self.replaced_at = list[float]()

    @property
    def done(self) -> Counter[Kind]:
        """How many faults of each kind were really done."""
        return self._done

    def run(self, plans: Sequence[Disturbance]) -> None:
        """Inject all faults. Returns when they are over."""
        threads = []
        for plan in plans:
            time.sleep(max(0.0, plan.at - self._recorder.now()))
            threads.append(threading.Thread(target=self._do, args=(plan,), daemon=True))
            threads[-1].start()
        for thread in threads:
            thread.join(90)
        self.heal()

    def heal(self) -> None:
        """End every partition. Redis' clock stays as it is: the fleet must cope with a clock that nobody sets right."""
        self._proxy.heal()

    def _do(self, plan: Disturbance) -> None:
        began = self._recorder.now()
        is_done = self._means(plan.kind)(plan)
        if not is_done:
            return
        self._done[plan.kind] += 1
        ended = self._recorder.now()
        told = f"{plan.kind.name} {plan.target}"
        self._recorder.write(Operation(client="injector", action="fault", began=began, ended=ended, target=told))

    def _means(self, kind: Kind) -> Callable[[Disturbance], bool]:
        return {
            Kind.KILL_SUPERVISOR: lambda plan: self._signal(plan, signal.SIGKILL),
            Kind.KILL_GATEWAY: lambda plan: self._signal(plan, signal.SIGKILL),
            Kind.DRAIN: lambda plan: self._signal(plan, signal.SIGTERM),
            Kind.KILL_MODEL: self._kill_model,
            Kind.ZOMBIE: self._zombie,
            Kind.BLACKHOLE: self._part,
            Kind.CUT: self._part,
            Kind.KILL_REDIS: self._kill_redis,
            Kind.STOP_REDIS: self._stop_redis,
            Kind.STOP_REDIS_LONG: self._stop_redis,
            Kind.CLOCK: self._set_clock,
            Kind.DISK_FULL: lambda plan: self._fleet.server.fill_disk(plan.seconds),
            Kind.EMPTY_QUEUE: lambda _: self._operator.empty_a_queue(),
            Kind.DELETE_JOB: lambda plan: self._operator.delete_a_job(plan.target),
            Kind.RESTART_ALL: self._restart_all,
            Kind.UPGRADE: self._upgrade,
        }[kind]

    def _signal(self, plan: Disturbance, number: int) -> bool:
        running = self._fleet.members[plan.target].running
        running.signal(number)
        return running.process.returncode is None

    def _kill_model(self, plan: Disturbance) -> bool:
        def killed() -> bool:
            with suppress(StopIteration, psutil.Error):
                model_process(self._fleet.members[plan.target].running.pid).kill()
                return True
            return False

        try:
            wait_until(killed, f"{plan.target} has a model process", MODEL_SECONDS)
        except AssertionError:
            return False
        return True

    def _zombie(self, plan: Disturbance) -> bool:
        sleeper = self._fleet.members[plan.target].running
        sleeper.signal(signal.SIGSTOP)
        time.sleep(plan.seconds)
        sleeper.signal(signal.SIGCONT)
        return sleeper.process.poll() is None

    def _part(self, plan: Disturbance) -> bool:
        with self._partition:
            (self._proxy.cut if plan.kind is Kind.CUT else self._proxy.blackhole)()
            time.sleep(plan.seconds)
            self._proxy.heal()
        return True

    def _kill_redis(self, plan: Disturbance) -> bool:
        with self._fleet.server.lock:
            self._fleet.server.kill()
            time.sleep(plan.seconds / 4)
        return True

    def _stop_redis(self, plan: Disturbance) -> bool:
        self._fleet.server.stop_for(plan.seconds)
        return True

    def _set_clock(self, plan: Disturbance) -> bool:
        if self._fleet.server.has_clock:
            self._fleet.server.set_clock(plan.target)
        return bool(self._fleet.server.has_clock)

    def _restart_all(self, plan: Disturbance) -> bool:
        with self._fleet.server.lock:
            self._fleet.server.kill()
            for member in self._fleet.members.values():
                member.running.signal(signal.SIGKILL)
            time.sleep(plan.seconds / 4)
        return True

    def _upgrade(self, plan: Disturbance) -> bool:
        member = self._fleet.members[plan.target]
        if member.release is THIS:
            return False
        member.release = THIS
        member.running.signal(signal.SIGTERM)
        self.replaced_at.append(self._recorder.now())
        return True
