"""The judge of `make faults`: each rule finds the histories that break it, and unknown outcomes are no faults."""

from typing import Any

import pytest

from tests.faults.proof.checker import RULES, judge
from tests.faults.proof.history import Action, Operation, Recorder, Seen, read_history

#: The fields of `/stats` that are not counters, when no job waits or runs.
IDLE = {"queued_jobs": 0, "queued_bytes": 0, "queued_audio_seconds": 0.0, "in_flight": 0, "queues": {"short": 0}}


def stats(submitted: int = 1, revived: int = 0, **ends: int) -> dict[str, Any]:
    totals = {"submitted": submitted, "revived": revived, "cache_misses": submitted, **(ends or {"completed": submitted})}
    return {**IDLE, "totals": totals}


def call(action: Action, at: float, status: int | None = 200, seen: Seen | None = None, **fields: Any) -> Operation:
    """A call that takes half a second. It is about job `a` unless `fields` say otherwise."""
    named = {"job": "" if action == "submit" or action.startswith("rq") else "a", "ended": at + 0.5, **fields}
    return Operation(client="c", action=action, began=at, status=status, seen=seen, **named)


def is_(state: str, job: str = "a", **fields: Any) -> Seen:
    transcript = "7" if state == "completed" else None
    return Seen(job=job, state=state, **{"attempt": 1, "transcript": transcript, **fields})


def submit(at: float = 0, state: str = "queued", **fields: Any) -> Operation:
    return call("submit", at, 202, is_(state, fields.pop("id", "a")), **{"key": "k", "said": "7", **fields})


def poll(at: float, state: str, status: int = 200, **fields: Any) -> Operation:
    return call("poll", at, status, is_(state, **fields))


def lost(action: Action, at: float, **fields: Any) -> Operation:
    return call(action, at, None, **{"lost": "timeout", **fields})


DONE = poll(9, "completed")
CANCEL = call("delete", 1, 200, is_("canceled"))
FAILS = submit(said=None)
RETRY = call("retry", 3, 202, is_("queued"))

#: Histories by the rule that each of them breaks. They break no other rule.
BROKEN: dict[str, dict[str, tuple[list[Operation], dict[str, Any]]]] = {
    "every job ends": {
        "a job still waits": ([submit(), poll(9, "queued")], stats()),
        "a job is denied": ([submit(), DONE, call("poll", 10, 404)], stats()),
        "a job is gone, and nobody erased it": ([submit(), DONE, call("poll", 10, 410, code="job_gone")], stats()),
    },
    "ends once": {
        "two ends": ([submit(said=None, has_deadline=True), poll(2, "expired"), poll(9, "failed")], stats(failed=1)),
        "another worker later": ([submit(), poll(2, "completed", worker="v"), poll(9, "completed", worker="w")], stats()),
        "ended again": ([submit(), poll(2, "completed", finished_at="1"), poll(9, "completed", finished_at="2")], stats()),
    },
    "only forward": {
        "runs after its end": ([submit(), poll(2, "completed"), poll(4, "running"), DONE], stats()),
        "there after it was erased": ([submit(), poll(2, "completed"), call("delete", 3, 204), DONE], stats()),
        "an attempt falls": ([submit(), poll(2, "running", attempt=3), poll(4, "running", attempt=2), DONE], stats()),
    },
    "canceled stays canceled": {
        "canceled and completed": ([submit(), CANCEL, poll(1.2, "completed")], stats()),
    },
    "right transcript": {
        "somebody else's transcript": ([submit(), poll(9, "completed", transcript="8")], stats()),
        "pieces in another order": ([submit(said="7 8"), poll(9, "completed", transcript="8 7")], stats()),
    },
    "ends have causes": {
        "canceled by nobody": ([submit(), poll(9, "canceled")], stats(canceled=1)),
        "canceled before an operator came": (
            [submit(), poll(2, "canceled"), call("rq_empty", 3, None, target="short"), poll(9, "canceled")],
            stats(canceled=1),
        ),
        "a queue was emptied before it was submitted": (
            [call("rq_empty", 0, None, target="short"), submit(1), poll(9, "canceled")],
            stats(canceled=1),
        ),
        "good audio fails": ([submit(), poll(9, "failed")], stats(failed=1)),
        "expired without a deadline": ([submit(), poll(9, "expired")], stats(expired=1)),
    },
    "progress grows": {
        "progress falls": (
            [submit(), poll(2, "running", done=2, seconds=5), poll(4, "running", done=1, seconds=5), DONE],
            stats(),
        ),
        "more done than there is": ([submit(), poll(9, "completed", done=6, seconds=5)], stats()),
    },
    "same key, same job": {
        "another job for the same key": (
            [submit(), submit(2, id="b"), DONE, call("poll", 9, 200, is_("completed", "b"), job="b")],
            stats(2),
        ),
    },
    "failed jobs can be retried": {
        "a dead job cannot be retried": ([FAILS, poll(2, "failed"), call("retry", 3, 409), poll(9, "failed")], stats(failed=1)),
    },
    "answers are allowed": {
        "a good request is refused": ([call("submit", 0, 415, said="7", key="x"), submit(1), DONE], stats()),
        "an answer is our fault": ([submit(), call("poll", 2, 500), DONE], stats()),
        "an answer without a record": ([submit(), call("poll", 2, 200), DONE], stats()),
        "come again, but when?": ([submit(), call("poll", 2, 503), DONE], stats()),
    },
    "counters are true": {
        "something waits at the end": ([submit(), DONE], {**stats(), "queued_bytes": 5}),
        "something is in a lane": ([submit(), DONE], {**stats(), "queues": {"short": 1}}),
        "broken records": ([submit(), DONE], stats(completed=1, broken=1)),
        "a life without an end": ([submit(), DONE], stats(completed=1, revived=1)),
        "an end too many": ([submit(), DONE], stats(completed=2)),
        "a job from nowhere": ([submit(), DONE], {**IDLE, "totals": {"submitted": 1, "completed": 1}}),
        "a job that nobody submitted": ([submit(), DONE], stats(2, completed=2)),
        "a retry that nobody asked for": ([FAILS, poll(9, "failed")], stats(1, revived=1, failed=2)),
        "ends that are others": ([submit(), DONE], stats(canceled=1)),
    },
}


def test_every_rule_has_histories_that_break_it() -> None:
    assert len(BROKEN) == len(RULES)


@pytest.mark.parametrize(("rule", "name"), [(rule, name) for rule, broken in BROKEN.items() for name in broken])
def test_what_breaks_a_rule_is_found_by_that_rule_alone(rule: str, name: str) -> None:
    operations, counted = BROKEN[rule][name]
    assert {fault.rule for fault in judge(operations, counted)} == {rule}


CLEAN: dict[str, tuple[list[Operation], dict[str, Any]]] = {
    "done": ([submit(), poll(2, "running"), DONE, call("result", 10, 200, is_("completed"))], stats()),
    "submitted again after silence": ([lost("submit", 0, key="k", said="7"), submit(3), DONE], stats()),
    "a submit that nobody heard of": ([submit(), lost("submit", 1, key="x", said="8"), DONE], stats(2)),
    "a submit that nobody took": ([submit(), lost("submit", 1, key="x", lost="refused"), DONE], stats()),
    "recovered": ([submit(), poll(2, "running"), poll(4, "queued"), poll(6, "running", attempt=2), DONE], stats()),
    "from the beginning again": (
        [submit(), poll(2, "running", done=4, started_at="1"), poll(4, "running", done=1, started_at="2"), DONE],
        stats(),
    ),
    "canceled": ([submit(), CANCEL, poll(9, "canceled")], stats(canceled=1)),
    "canceled by a call without an answer": ([submit(), lost("delete", 1), poll(9, "canceled")], stats(canceled=1)),
    "canceled by a call that was answered 503": (
        [submit(), call("delete", 1, 503, has_retry_after=True), poll(9, "canceled")],
        stats(canceled=1),
    ),
    "erased by a call without an answer": (
        [submit(), poll(2, "completed"), lost("delete", 3), call("poll", 9, 410, code="job_gone")],
        stats(),
    ),
    "ended and erased unseen": ([submit(), call("delete", 2, 204), call("poll", 9, 410, code="job_gone")], stats()),
    "emptied by an operator": ([submit(), call("rq_empty", 1, None, target="short"), poll(9, "canceled")], stats(canceled=1)),
    "perhaps emptied, later than the operator knew": (
        [lost("rq_empty", 0, target="short"), submit(1), poll(9, "canceled")],
        stats(canceled=1),
    ),
    "a piece deleted by an operator": (
        [submit(), call("rq_delete", 1, None, target="a_p2"), poll(9, "canceled")],
        stats(canceled=1),
    ),
    "retried": ([FAILS, poll(2, "failed"), RETRY, poll(9, "failed", finished_at="2")], stats(1, revived=1, failed=2)),
    "perhaps retried, long ago": (
        [FAILS, poll(2, "failed"), lost("retry", 3), poll(5, "failed"), poll(6, "running"), poll(9, "failed")],
        stats(1, revived=1, failed=2),
    ),
    "perhaps retried, and again": (
        [FAILS, poll(2, "failed"), lost("retry", 3), call("retry", 4, 409), poll(9, "failed")],
        stats(1, revived=1, failed=2),
    ),
    "completed at the second life": (
        [submit(has_deadline=True), poll(2, "expired"), RETRY, DONE],
        stats(1, revived=1, expired=1, completed=1),
    ),
    "a failed job answers with its own error": (
        [FAILS, poll(2, "failed"), call("result", 4, 502, code="transcription_failed"), poll(9, "failed")],
        stats(failed=1),
    ),
    "an overlapping look": ([submit(), DONE, poll(9.2, "running"), poll(20, "completed")], stats()),
}


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_history_is_clean(name: str) -> None:
    operations, counted = CLEAN[name]
    assert judge(operations, counted) == []


def test_a_history_is_read_as_it_was_written(tmp_path: Any) -> None:
    times = iter((100.0, 101.5))
    recorder = Recorder(tmp_path / "history.jsonl", lambda: next(times))
    assert recorder.now() == 1.5
    for operation in (DONE, submit()):
        recorder.write(operation)
    recorder.close()
    assert read_history(tmp_path / "history.jsonl") == [submit(), DONE]
