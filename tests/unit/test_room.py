"""How much work a worker takes at a time."""

import pytest

from worker.queue.room import Kind, Room, room_beside


def kind(**differently: object) -> Kind:
    usual = {"on_cpu": True, "encodes_in_full": True, "is_for_long": False, "batch_size": 8}
    return Kind(**(usual | differently))  # type: ignore[arg-type]


def background(room: Room) -> tuple[int, float]:
    return room.background, room.background_seconds


def test_a_cpu_takes_three_windows_a_gpu_all_but_what_it_keeps_for_short_audio() -> None:
    assert background(room_beside(0, [], kind())) == (6, 90)
    assert background(room_beside(0, [], kind(on_cpu=False))) == (6, 180)
    assert background(room_beside(0, [], kind(batch_size=2))) == (1, 30)


def test_a_worker_for_long_audio_keeps_no_room_for_short() -> None:
    assert background(room_beside(0, [], kind(on_cpu=False, is_for_long=True))) == (8, 240)


def test_what_is_in_hand_counts_a_window_at_most() -> None:
    assert background(room_beside(0, [10.0, 600.0], kind())) == (4, 50)


@pytest.mark.parametrize(
    ("differently", "most"),
    [
        ({}, 4),
        ({"batch_size": 3}, 3),
        ({"encodes_in_full": False}, 8),
        ({"on_cpu": False}, 8),
    ],
)
def test_where_many_at_a_time_are_no_faster_few_are_taken(differently: dict[str, object], most: int) -> None:
    assert room_beside(0, [], kind(**differently)).urgent == most
    assert room_beside(most - 1, [], kind(**differently)).urgent == 1
    assert room_beside(most + 1, [], kind(**differently)).urgent == 0


def test_a_gpu_shares_nothing_that_it_has_room_for() -> None:
    room = room_beside(0, [], kind(on_cpu=False))
    assert (room.urgent_few, room.background_few) == (8, 8)
