"""The judge: reads a history and the last counters, and names the faults in them. It uses none of the product's code."""

from collections.abc import Iterable, Mapping
from typing import Any

from tests.faults.proof import rules
from tests.faults.proof.case import Case, Fault, Rule
from tests.faults.proof.counters import counters_are_true
from tests.faults.proof.history import Operation

RULES: tuple[Rule, ...] = (
    rules.every_job_ends,
    rules.ends_once,
    rules.only_forward,
    rules.canceled_stays_canceled,
    rules.right_transcript,
    rules.ends_have_causes,
    rules.progress_grows,
    rules.same_key_same_job,
    rules.failed_jobs_can_be_retried,
    rules.answers_are_allowed,
    counters_are_true,
)


def judge(operations: Iterable[Operation], stats: Mapping[str, Any]) -> list[Fault]:
    """All faults. `stats` is the answer of `/stats` after all work was done. The history's last polls were made then, too."""
    case = Case(sorted(operations, key=lambda operation: operation.began), stats)
    return [fault for rule in RULES for fault in rule(case)]
