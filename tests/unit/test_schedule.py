"""Quick files never wait behind slow ones."""

import time

import pytest

from shared.audio.request import Wanted
from shared.audio.walls.limits import probe_limits
from shared.audio.walls.messages import Order, Task
from shared.audio.walls.schedule import MOST_WAITING, QUICK_SECONDS, Errand, Schedule
from shared.audio.walls.shared_memory import SharedFile
from shared.errors import ReadersUnavailable


def errand(number: int, size_bytes: int = 1_000) -> Errand:
    order = Order(
        number=number,
        task=Task.PROBE,
        size_bytes=size_bytes,
        wanted=Wanted(max_seconds=60),
        limits=probe_limits(size_bytes),
    )
    return Errand(order, SharedFile())


def begun(schedule: Schedule, ago_seconds: float = 0.0) -> Errand:
    """The next one, as if its reader had said so long ago that it has begun."""
    found = schedule.begin_next()
    assert found is not None
    found.pid, found.began_at = found.order.number, time.monotonic() - ago_seconds
    return found


def test_small_files_go_first_and_nobody_waits_for_ever() -> None:
    schedule = Schedule(quick=1, slow=1)
    large, small = errand(1, 50_000_000), errand(2)
    old = errand(3, 5_000_000)
    old.added_at -= 60
    for one in (large, small, old):
        schedule.add(one)
    assert [begun(schedule) is old, schedule.begin_next()] == [True, None]
    schedule.drop(old)
    assert schedule.begin_next() is small


def test_a_slow_file_goes_on_in_the_slow_lane_while_there_is_room() -> None:
    schedule = Schedule(quick=1, slow=1)
    for number in (1, 2, 3):
        schedule.add(errand(number))
    first = begun(schedule, QUICK_SECONDS + 1)
    assert schedule.turn_slow() == ([first], [])
    second = begun(schedule, QUICK_SECONDS + 1)
    assert schedule.turn_slow() == ([], [second])
    assert second.is_put_off and schedule.begin_next() is None
    second.is_slow = True
    schedule.put_back(second)
    assert begun(schedule).order.number == 3
    schedule.drop(first)
    assert schedule.begin_next() is second


def test_a_quick_file_keeps_its_reader() -> None:
    schedule = Schedule(quick=1, slow=1)
    schedule.add(errand(1))
    begun(schedule)
    assert schedule.turn_slow() == ([], [])


def test_what_nobody_wants_any_more_keeps_a_reader_only_while_it_is_quick() -> None:
    schedule = Schedule(quick=1, slow=1)
    schedule.add(errand(1))
    under_way = begun(schedule)
    assert not schedule.abandon(under_way) and schedule.turn_slow() == ([], [])
    under_way.began_at = time.monotonic() - QUICK_SECONDS - 1
    assert schedule.turn_slow() == ([], [under_way])


def test_an_order_that_no_reader_begins_is_lost() -> None:
    schedule = Schedule(quick=1, slow=1)
    schedule.add(errand(1))
    sent = schedule.begin_next()
    assert sent is not None and not schedule.lost()
    sent.sent_at -= 60
    assert schedule.lost() == [sent]


def test_the_queue_has_an_end() -> None:
    schedule = Schedule(quick=1, slow=1)
    for number in range(MOST_WAITING):
        schedule.add(errand(number))
    assert schedule.is_full


def test_an_outcome_closes_the_file_and_reaches_the_one_who_waits() -> None:
    one = errand(1)
    one.conclude(ReadersUnavailable("away"))
    assert one.file.descriptor == -1
    with pytest.raises(ReadersUnavailable):
        one.result.result(0)
