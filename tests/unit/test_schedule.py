"""Quick files never wait behind slow ones."""

from collections.abc import Callable

import pytest

from shared.audio.request import Wanted
from shared.audio.walls.limits import probe_limits
from shared.audio.walls.messages import Order, Task
from shared.audio.walls.schedule import MOST_WAITING, Errand, Schedule
from shared.audio.walls.shared_memory import SharedFile
from shared.errors import ReadersUnavailable

LANES_SECONDS = (0.01, 0.25)
#: Just too long for the first lane, and just too long for the second one.
FIRST, SECOND = (seconds + 0.001 for seconds in LANES_SECONDS)


def errand(number: int, size_bytes: int = 1_000) -> Errand:
    order = Order(
        number=number,
        task=Task.PROBE,
        size_bytes=size_bytes,
        wanted=Wanted(max_seconds=60),
        limits=probe_limits(size_bytes),
    )
    return Errand(order, SharedFile())


def begun(schedule: Schedule) -> Errand:
    """Start the next errand, as if its reader had said that it has begun."""
    found = schedule.begin_next()
    assert found is not None
    found.pid = found.order.number
    return found


def taking(cpu_seconds: float) -> Callable[[int], float]:
    """The processor time of every reader, as the schedule asks for it."""
    return lambda _: cpu_seconds


def test_small_files_go_first_and_nobody_waits_for_ever() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    large, small = errand(1, 50_000_000), errand(2)
    old = errand(3, 5_000_000)
    old.added_at -= 60
    for one in (large, small, old):
        schedule.add(one)
    assert [begun(schedule) is old, schedule.begin_next()] == [True, None]
    schedule.drop(old)
    assert schedule.begin_next() is small


def test_a_file_that_takes_time_goes_on_in_a_slower_lane_while_there_is_room() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    for number in (1, 2, 3):
        schedule.add(errand(number))
    first = begun(schedule)
    assert schedule.move_on(taking(FIRST)) == [] and first.lane == 1
    second = begun(schedule)
    assert schedule.move_on(taking(FIRST)) == [second], "there is no room in the second lane"
    schedule.put_off(second)
    third = begun(schedule)
    assert third.order.number == 3, "it comes before an errand that was put off"
    assert schedule.begin_next() is None, "there is still no room in the second lane"
    schedule.drop(third)
    assert schedule.move_on(taking(SECOND)) == [] and first.is_slow
    assert begun(schedule) is second
    schedule.drop(first)
    assert schedule.move_on(taking(SECOND)) == [] and second.is_slow, "the last lane has room again"


def test_a_file_that_has_taken_long_passes_over_a_lane_that_is_full() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    for number in (1, 2):
        schedule.add(errand(number))
    begun(schedule)
    assert schedule.move_on(taking(FIRST)) == []
    second = begun(schedule)
    second.began_cpu_seconds = -SECOND
    assert schedule.move_on(taking(FIRST)) == [] and second.is_slow


def test_a_file_may_stay_where_nobody_waits_for_its_place() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    for number in (1, 2):
        schedule.add(errand(number))
    begun(schedule).lane = 1
    begun(schedule)
    assert schedule.move_on(taking(FIRST)) == []


def test_slower_lanes_give_way_to_a_crowd_only() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    for number in (1, 2, 3):
        schedule.add(errand(number))
    first = begun(schedule)
    schedule.move_on(taking(FIRST))
    assert schedule.giving_way() == [], "there is a reader for each errand"
    begun(schedule)
    schedule.add(errand(4))
    assert schedule.giving_way() == [first]


def test_a_quick_file_keeps_its_reader() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    schedule.add(errand(1))
    begun(schedule).began_cpu_seconds = 5.0
    assert schedule.move_on(taking(5.0)) == []


def test_what_nobody_wants_any_more_keeps_a_reader_only_while_it_is_quick() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    schedule.add(errand(1))
    under_way = begun(schedule)
    assert not schedule.abandon(under_way) and schedule.move_on(taking(0.0)) == []
    assert schedule.move_on(taking(FIRST)) == [under_way]


def test_an_order_that_no_reader_begins_is_lost() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    schedule.add(errand(1))
    sent = schedule.begin_next()
    assert sent is not None and not schedule.lost()
    sent.sent_at -= 60
    assert schedule.lost() == [sent]


def test_the_queue_has_an_end() -> None:
    schedule = Schedule(LANES_SECONDS, quick=1, slow=1)
    for number in range(MOST_WAITING):
        schedule.add(errand(number))
    assert schedule.is_full


def test_an_outcome_closes_the_file_and_reaches_the_one_who_waits() -> None:
    one = errand(1)
    one.conclude(ReadersUnavailable("away"))
    assert one.file.descriptor == -1
    with pytest.raises(ReadersUnavailable):
        one.result.result(0)
