"""Sharing calls to the model: which windows share a call, which do not, and that no window spoils the answer of another one."""

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import ctranslate2
import numpy as np
import pytest
from ctranslate2.models import Whisper

from tests.processes import wait_until
from worker.model.batching import BatchingModel
from worker.model.encoders.encoder import Encoder


class Recorder:
    """A stand-in for the model: answers each row with its first value, and records which rows came together."""

    device = "cpu"

    def __init__(self) -> None:
        self.batches: list[list[float]] = []
        #: Values in the order in which they reached the encoder.
        self.encoded: list[float] = []
        self.encoders_may_go = threading.Event()
        self.encoders_may_go.set()
        #: A call that holds one of these values ends when its event is set.
        self.held_until: dict[float, threading.Event] = {}

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool) -> ctranslate2.StorageView:
        may_go = self.encoders_may_go
        self.encoded.append(float(np.asarray(features)[0, 0, 0]))
        assert may_go.wait(10) and not to_cpu
        return features

    def generate(self, encoded: ctranslate2.StorageView, prompts: Sequence[Sequence[int]], **options: Any) -> list[float]:
        rows = [float(row[0, 0]) for row in np.asarray(encoded)]
        self.batches.append(rows)
        for row in rows:
            assert row not in self.held_until or self.held_until[row].wait(10)
        if 13.0 in rows:
            raise RuntimeError("cannot be decoded")
        assert len(rows) == len(prompts)
        return [row + float(options.get("extra", 0)) for row in rows]

    def align(self) -> str:
        return "align"

    def detect_language(self) -> str:
        return "detect_language"


def batching(recorder: Recorder, max_batch: int, at_once: int = 1, at_once_urgent: int = 1) -> BatchingModel:
    """A `BatchingModel` whose model and encoder are the recorder."""
    return BatchingModel(cast("Whisper", recorder), cast("Encoder", recorder), max_batch, at_once, at_once_urgent)


def one(model: BatchingModel, value: float, prompt: int = 1, urgent: bool = True, **options: Any) -> Any:
    """The calls that a transcription of one window makes."""
    with model.caller(lambda: None, urgent):
        features = ctranslate2.StorageView.from_array(np.full((1, 4, 2), value, np.float32))
        return model.generate(model.encode(features), [[0] * prompt], **options)[0]


def together(recorder: Recorder, calls: list[dict[str, Any]], max_batch: int = 8) -> list[Any]:
    """All calls at once: the encoder lets them go only when all have arrived."""
    model = batching(recorder, max_batch)
    recorder.encoders_may_go.clear()
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(one, model, **call) for call in calls]
        recorder.encoders_may_go.set()
        return [future.exception(10) or future.result() for future in futures]


def test_windows_of_equal_kind_share_a_call_and_each_gets_its_own_answer() -> None:
    recorder = Recorder()
    assert together(recorder, [{"value": float(n)} for n in range(6)]) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert max(map(len, recorder.batches)) > 1
    assert sorted(row for batch in recorder.batches for row in batch) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


def test_other_options_and_other_prompt_lengths_go_apart() -> None:
    recorder = Recorder()
    calls: list[dict[str, Any]] = [{"value": 1.0}, {"value": 2.0, "extra": 5}, {"value": 3.0, "prompt": 4}]
    assert together(recorder, calls) == [1.0, 7.0, 3.0]
    assert sorted(recorder.batches) == [[1.0], [2.0], [3.0]]


def test_a_window_that_cannot_be_decoded_fails_alone() -> None:
    recorder = Recorder()
    answers = together(recorder, [{"value": 1.0}, {"value": 13.0}, {"value": 2.0}])
    assert answers[0] == 1.0 and answers[2] == 2.0 and isinstance(answers[1], RuntimeError)


def test_no_call_is_larger_than_allowed() -> None:
    recorder = Recorder()
    together(recorder, [{"value": float(n)} for n in range(7)], max_batch=3)
    assert sorted(map(len, recorder.batches)) == [1, 3, 3]


def test_a_lone_call_does_not_wait_for_anybody() -> None:
    recorder = Recorder()
    assert together(recorder, [{"value": 4.0}]) == [4.0]


def test_whatever_is_not_shared_is_the_models_own() -> None:
    assert batching(Recorder(), 2).device == "cpu"
    with pytest.raises(AttributeError):
        batching(Recorder(), 2).no_such_thing  # noqa: B018


@pytest.mark.parametrize("call", ["align", "detect_language"])
def test_a_call_that_is_shared_with_nobody_hears_a_stop_too(call: str) -> None:
    def stop() -> None:
        raise InterruptedError

    model = batching(Recorder(), 2)
    with model.caller(stop), pytest.raises(InterruptedError):
        getattr(model, call)()
    with model.caller(lambda: None):
        assert getattr(model, call)() == call


def in_turn(
    model: BatchingModel, recorder: Recorder, pool: ThreadPoolExecutor, *calls: tuple[float, bool]
) -> "list[Future[Any]]":
    """Start transcriptions (value, urgent) one after another, at an encoder that does not let any of them go yet."""
    recorder.encoders_may_go.clear()
    futures = []
    for number, (value, urgent) in enumerate(calls, start=1):
        futures.append(pool.submit(one, model, value, urgent=urgent))
        wait_until(lambda number=number: model.at_the_encoder == number, f"{value} is at the encoder", 10)  # type: ignore[misc]
    return futures


def test_urgent_windows_overtake_others_at_the_encoder() -> None:
    recorder = Recorder()
    model = batching(recorder, 8)
    with ThreadPoolExecutor(4) as pool:
        futures = in_turn(model, recorder, pool, (1.0, False), (2.0, False), (3.0, True), (4.0, True))
        recorder.encoders_may_go.set()
        assert [future.result(10) for future in futures] == [1.0, 2.0, 3.0, 4.0]
    assert recorder.encoded[0] == 1.0 and set(recorder.encoded[1:3]) == {3.0, 4.0}


def test_an_urgent_window_does_not_wait_for_others_that_are_still_encoded() -> None:
    recorder = Recorder()
    model = batching(recorder, 8, at_once=2)
    with ThreadPoolExecutor(2) as pool:
        (patient,) = in_turn(model, recorder, pool, (1.0, False))
        blocked, recorder.encoders_may_go = recorder.encoders_may_go, threading.Event()
        recorder.encoders_may_go.set()
        assert pool.submit(one, model, 2.0, urgent=True).result(10) == 2.0
        assert not patient.done()
        blocked.set()
        assert patient.result(10) == 1.0


def test_urgent_windows_cannot_keep_others_waiting_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.model.batching.YIELD_SECONDS", 0.05)
    recorder = Recorder()
    model = batching(recorder, 8, at_once=2)
    with ThreadPoolExecutor(2) as pool:
        (urgent,) = in_turn(model, recorder, pool, (1.0, True))
        blocked, recorder.encoders_may_go = recorder.encoders_may_go, threading.Event()
        recorder.encoders_may_go.set()
        patient = pool.submit(one, model, 2.0, urgent=False)
        wait_until(lambda: 2.0 in recorder.encoded, "it has a turn while an urgent one is in the encoder", 10)
        blocked.set()
        assert (urgent.result(10), patient.result(10)) == (1.0, 2.0)


@pytest.mark.parametrize("at_once", [1, 2])
def test_an_urgent_window_and_a_call_of_others_that_has_begun(at_once: int) -> None:
    recorder = Recorder()
    may_go = recorder.held_until[1.0] = threading.Event()
    model = batching(recorder, 8, at_once)
    with ThreadPoolExecutor(3) as pool:
        begun = pool.submit(one, model, 1.0, urgent=False)
        wait_until(lambda: recorder.batches == [[1.0]], "the first is in the decoder", 10)
        urgent = pool.submit(one, model, 3.0, urgent=True)
        if at_once == 2:
            assert urgent.result(10) == 3.0 and not begun.done(), "the urgent window has a place of its own"
        else:
            wait_until(lambda: model.at_the_encoder == 1, "it waits for the only place", 10)
        later = pool.submit(one, model, 2.0, urgent=False)
        may_go.set()
        assert [begun.result(10), urgent.result(10), later.result(10)] == [1.0, 3.0, 2.0]
    assert recorder.batches == [[1.0], [3.0], [2.0]]


def test_urgent_windows_take_all_places_if_they_may_others_leave_one() -> None:
    recorder = Recorder()
    recorder.encoders_may_go.clear()
    model = batching(recorder, 8, at_once=2, at_once_urgent=2)
    with ThreadPoolExecutor(4) as pool:
        others = [pool.submit(one, model, value, urgent=False) for value in (1.0, 2.0)]
        wait_until(lambda: model.at_the_encoder == 2 and len(recorder.encoded) == 1, "one of the others has a place", 10)
        urgent = [pool.submit(one, model, value) for value in (3.0, 4.0)]
        wait_until(lambda: model.at_the_encoder == 4 and len(recorder.encoded) == 2, "one of the urgent has the other", 10)
        recorder.encoders_may_go.set()
        assert [future.result(10) for future in others + urgent] == [1.0, 2.0, 3.0, 4.0]
    recorder.encoders_may_go.clear()
    with ThreadPoolExecutor(2) as pool:
        urgent = [pool.submit(one, model, value) for value in (5.0, 6.0)]
        wait_until(lambda: len(recorder.encoded) == 6, "both urgent ones are in the encoder", 10)
        recorder.encoders_may_go.set()
        assert [future.result(10) for future in urgent] == [5.0, 6.0]


def test_nobody_stays_for_the_call_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.model.batching.LINGER_SECONDS", 0.05)
    recorder = Recorder()
    quick_may_go, slow_may_go = recorder.held_until[1.0], recorder.held_until[2.0] = threading.Event(), threading.Event()
    model = batching(recorder, 8, at_once=2, at_once_urgent=2)
    recorder.encoders_may_go.clear()
    with ThreadPoolExecutor(2) as pool:
        quick, slow = pool.submit(one, model, 1.0), pool.submit(one, model, 2.0, prompt=3)
        wait_until(lambda: model.at_the_encoder == 2, "both are in the encoder", 10)
        recorder.encoders_may_go.set()
        wait_until(lambda: len(recorder.batches) == 2, "both are in the decoder", 10)
        quick_may_go.set()
        try:
            assert quick.result(5) == 1.0 and not slow.done()
        finally:
            slow_may_go.set()
        assert slow.result(10) == 2.0


def test_who_is_stopped_leaves_before_anything_else() -> None:
    recorder, stopped = Recorder(), threading.Event()
    may_go = recorder.held_until[1.0] = threading.Event()

    def check() -> None:
        if stopped.is_set():
            raise InterruptedError

    def waiting() -> Any:
        with model.caller(check):
            encoded = ctranslate2.StorageView.from_array(np.full((1, 4, 2), 2.0, np.float32))
            return model.generate(encoded, [[0, 0, 0]])

    model = batching(recorder, 8)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(one, model, 1.0)
        wait_until(lambda: recorder.batches == [[1.0]], "the first is in the decoder", 10)
        second = pool.submit(waiting)
        stopped.set()
        with pytest.raises(InterruptedError):
            second.result(10)
        may_go.set()
        assert first.result(10) == 1.0
    assert recorder.batches == [[1.0]]
