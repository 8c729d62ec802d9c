"""The supervisor's inbox keeps the order, and bounds the number of large messages."""

import threading
from queue import Empty

import pytest

from tests.processes import wait_until
from worker.messages import CutPiece
from worker.supervising.inbox import MOST_PIECES, Inbox, StopAsked


def piece(number: int) -> CutPiece:
    return CutPiece(attempt_id="a:1", number=number, audio=b"")


def test_pieces_wait_for_room_and_keep_their_order() -> None:
    inbox, brought = Inbox(), 0

    def bring() -> None:
        nonlocal brought
        for number in range(MOST_PIECES * 3):
            inbox.put(piece(number))
            brought += 1

    bringer = threading.Thread(target=bring, daemon=True)
    bringer.start()
    wait_until(lambda: brought == MOST_PIECES, "there is no more room", 5)
    inbox.put(StopAsked())
    events = [inbox.get(5) for _ in range(MOST_PIECES * 3 + 1)]
    bringer.join(5)
    assert isinstance(events.pop(MOST_PIECES), StopAsked), "signals never wait"
    assert [event.number for event in events if isinstance(event, CutPiece)] == list(range(MOST_PIECES * 3))


def test_nothing_comes_of_an_empty_inbox() -> None:
    with pytest.raises(Empty):
        Inbox().get(0.01)
