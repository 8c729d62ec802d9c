"""How much background work a worker takes."""

import pytest

from worker.background import BackgroundLimit, BackgroundRoom


def room(limit: BackgroundLimit, *in_hand: float, on_cpu: bool = True, is_for_long: bool = False) -> BackgroundRoom:
    return limit.room_beside(in_hand, on_cpu, is_for_long)


def test_a_cpu_takes_three_windows_a_gpu_all_but_what_it_keeps_for_short_audio() -> None:
    assert room(BackgroundLimit(8)) == BackgroundRoom(jobs=6, seconds=90)
    assert room(BackgroundLimit(8), on_cpu=False) == BackgroundRoom(jobs=6, seconds=180)
    assert room(BackgroundLimit(2)) == BackgroundRoom(jobs=1, seconds=30)


def test_what_is_in_hand_counts_a_window_at_most() -> None:
    assert room(BackgroundLimit(8), 10.0, 600.0) == BackgroundRoom(jobs=4, seconds=50)


def test_after_short_audio_one_window_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = BackgroundLimit(8)
    limit.urgent_came()
    assert room(limit) == BackgroundRoom(jobs=6, seconds=30)
    assert room(limit, 29.5).seconds == 0.5
    assert room(limit, on_cpu=False, is_for_long=True) == BackgroundRoom(jobs=8, seconds=240)
    monkeypatch.setattr("worker.background.ATTENTIVE_SECONDS", 0.0)
    assert room(limit).seconds == 90
