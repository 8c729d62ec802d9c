"""The input of the rules, and the faults that they find."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tests.faults.proof.history import Operation
from tests.faults.proof.observations import job_histories

Kind = Literal["lost", "doubled", "wrong"]


@dataclass(frozen=True)
class Fault:
    """Something that must not have happened."""

    kind: Kind
    rule: str
    job: str
    told: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.rule}: {self.job} {self.told}"


class Case:
    """A history, also by jobs, and the answer of `/stats` after all work was done."""

    def __init__(self, operations: Sequence[Operation], stats: Mapping[str, Any]) -> None:
        self.operations, self.stats = operations, stats
        self.totals: Mapping[str, int] = stats.get("totals", {})
        self.jobs = job_histories(operations)
        self.acknowledged = [job for job in self.jobs.values() if job.acknowledged]


Rule = Callable[[Case], Iterator[Fault]]
