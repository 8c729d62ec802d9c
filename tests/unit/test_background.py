"""How much background work a worker takes."""

from worker.background import BackgroundRoom, room_beside


def test_a_cpu_takes_three_windows_a_gpu_all_but_what_it_keeps_for_short_audio() -> None:
    assert room_beside([], batch_size=8, on_cpu=True, is_for_long=False) == BackgroundRoom(jobs=6, seconds=90)
    assert room_beside([], batch_size=8, on_cpu=False, is_for_long=False) == BackgroundRoom(jobs=6, seconds=180)
    assert room_beside([], batch_size=2, on_cpu=True, is_for_long=False) == BackgroundRoom(jobs=1, seconds=30)


def test_a_worker_for_long_audio_keeps_no_room_for_short() -> None:
    assert room_beside([], batch_size=8, on_cpu=False, is_for_long=True) == BackgroundRoom(jobs=8, seconds=240)


def test_what_is_in_hand_counts_a_window_at_most() -> None:
    assert room_beside([10.0, 600.0], batch_size=8, on_cpu=True, is_for_long=False) == BackgroundRoom(jobs=4, seconds=50)
