"""How much a worker takes of what nobody waits for."""

import pytest

from worker.patience import Patience, PatientRoom


def room(patience: Patience, *in_hand: float, on_cpu: bool = True, is_for_long: bool = False) -> PatientRoom:
    return patience.room_beside(in_hand, on_cpu, is_for_long)


def test_a_cpu_takes_three_windows_a_gpu_all_but_what_it_keeps_for_short_audio() -> None:
    assert room(Patience(8)) == PatientRoom(jobs=6, seconds=90)
    assert room(Patience(8), on_cpu=False) == PatientRoom(jobs=6, seconds=180)
    assert room(Patience(2)) == PatientRoom(jobs=1, seconds=30)


def test_what_is_in_hand_counts_a_window_at_most() -> None:
    assert room(Patience(8), 10.0, 600.0) == PatientRoom(jobs=4, seconds=50)


def test_after_short_audio_one_window_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    patience = Patience(8)
    patience.urgent_came()
    assert room(patience) == PatientRoom(jobs=6, seconds=30)
    assert room(patience, 29.5).seconds == 0.5
    assert room(patience, is_for_long=True) == PatientRoom(jobs=8, seconds=90)
    monkeypatch.setattr("worker.patience.ATTENTIVE_SECONDS", 0.0)
    assert room(patience).seconds == 90
