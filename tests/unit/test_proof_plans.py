"""The jobs and the faults of the proof depend on its seed alone."""

from collections import Counter
from itertools import pairwise

import pytest

from tests.faults.proof.plans import EQUAL_JOBS, SHARES, Story, job_plans
from tests.faults.proof.schedule import LAST_BY, LONG_STOP_SECONDS, USUAL_SECONDS, Kind, schedule
from tests.faults.proof.stories import audio_of

#: During a fault of these kinds there is no other fault of Redis.
OF_REDIS = (Kind.KILL_REDIS, Kind.STOP_REDIS, Kind.STOP_REDIS_LONG, Kind.DISK_FULL, Kind.RESTART_ALL)


@pytest.mark.parametrize("seed", range(20))
def test_a_usual_run_has_more_than_a_hundred_faults_of_every_kind(seed: int) -> None:
    plans = schedule(seed, USUAL_SECONDS)
    kinds = Counter(plan.kind for plan in plans)
    assert len(plans) >= 110 and set(kinds) == set(Kind)
    assert kinds[Kind.STOP_REDIS_LONG] == 1
    assert all(0 <= plan.at <= USUAL_SECONDS * LAST_BY for plan in plans)


@pytest.mark.parametrize("seed", range(20))
def test_the_clock_is_really_set_and_one_fault_of_redis_ends_before_the_next(seed: int) -> None:
    plans = schedule(seed, USUAL_SECONDS)
    clocks = [plan.target for plan in plans if plan.kind is Kind.CLOCK]
    assert all(one != other for one, other in zip(["+0", *clocks], clocks, strict=False))
    of_redis = [plan for plan in plans if plan.kind in OF_REDIS]
    assert all(one.at + one.seconds <= other.at + 1e-6 for one, other in pairwise(of_redis))


def test_the_same_seed_is_the_same_run_and_another_is_not() -> None:
    assert schedule(7, 60) == schedule(7, 60) != schedule(8, 60)
    assert job_plans(7, 60, 100) == job_plans(7, 60, 100) != job_plans(8, 60, 100)


def test_an_hour_has_more_of_all_and_still_one_long_stop() -> None:
    usual, long = schedule(7, USUAL_SECONDS), schedule(7, 3600)
    assert len(long) > 10 * len(usual)
    assert sum(plan.seconds == LONG_STOP_SECONDS for plan in long) == 1


def test_a_short_run_has_no_long_stop() -> None:
    assert all(plan.kind is not Kind.STOP_REDIS_LONG for plan in schedule(7, 30))


def test_jobs_of_every_story_each_with_a_key_of_its_own() -> None:
    plans = job_plans(7, 270, 2_000)
    assert len(plans) == 2_000 == len({plan.key for plan in plans})
    assert {plan.story for plan in plans} == set(Story) == set(SHARES)
    equal = Counter(audio_of(plan) for plan in plans if plan.story is Story.EQUAL)
    assert max(equal.values()) >= EQUAL_JOBS and len({plan.number for plan in plans}) > 1_000
