"""Files as they come in from the field: the fleet must hear in each what it hears in the wav that FFmpeg makes of it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
import jiwer
import pytest

from shared.audio.containers import Container
from tests.field_files import FIELD_FILES, FieldFile, Workshop
from tests.processes import Stack

#: Largest difference between a file and its reference: for times and lengths, and for times on a telephone.
TOLERANCE_SECONDS, NARROW_TOLERANCE_SECONDS = 0.1, 0.3
#: Rounding: times are reported in milliseconds.
ROUNDED_SECONDS = 0.0015
#: How many files are with the fleet at once: enough to keep both workers busy.
AT_ONCE = 12


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The fleet's answer for some audio."""

    container: str
    text: str
    seconds: float
    starts: Sequence[float]
    warnings: frozenset[str]


@dataclass
class Fleet:
    """Sends audio to both gateways. A wav that is the reference of many files is sent once."""

    clients: Sequence[httpx.Client]
    pool: ThreadPoolExecutor
    sent: dict[bytes, "Future[Answer]"]

    def send(self, content: bytes, query: str = "") -> "Future[Answer]":
        if query:
            return self.pool.submit(self._answer, content, query)
        if content not in self.sent:
            self.sent[content] = self.pool.submit(self._answer, content, "")
        return self.sent[content]

    def _answer(self, content: bytes, query: str) -> Answer:
        client = self.clients[len(content) % len(self.clients)]
        answer = client.post(f"/v1/jobs?wait=60&{query}".rstrip("&"), content=content)
        job: dict[str, Any] = answer.json()
        assert answer.status_code == 200 and job["status"] == "completed", f"{answer.status_code}: {job.get('error') or job}"
        result = job["result"]
        return Answer(
            container=job["audio"]["format"],
            text=result["transcript"],
            seconds=result["duration"],
            starts=[segment["start"] for segment in result["segments"]],
            warnings=frozenset(warning["code"] for warning in job["warnings"]),
        )


Heard = dict[str, tuple["Future[Answer]", "Future[Answer]"]]


@pytest.fixture(scope="module")
def heard(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Heard]:
    """By file name: the fleet's answers for the file and for its reference. While the fleet decodes one file, others are made."""
    shop = Workshop(tmp_path_factory.mktemp("field"))
    with stack.client() as first, stack.client(gateway=1) as second, ThreadPoolExecutor(AT_ONCE) as pool:
        fleet = Fleet((first, second), pool, {})
        answers: Heard = {}
        for file in FIELD_FILES:
            content = file.make(shop)
            wav = file.measure(shop) if file.measure else shop.reference(content, file.suffix, file.read_as, file.select)
            answers[file.name] = fleet.send(content, file.query), fleet.send(wav)
        yield answers


def differing_words(one: str, other: str) -> int:
    """How many words have to be substituted, deleted or inserted."""
    compared = jiwer.process_words(one, other)
    return compared.substitutions + compared.deletions + compared.insertions


@pytest.mark.parametrize("file", FIELD_FILES, ids=lambda file: file.name)
def test_a_field_file_is_heard_as_its_wav(heard: Heard, file: FieldFile) -> None:
    answer, measure = (future.result() for future in heard[file.name])
    narrow_words = file.lost if file.is_narrow else 0
    assert differing_words(file.timeline.text, answer.text) <= file.lost, answer.text
    assert differing_words(measure.text, answer.text) <= narrow_words, f"not as its measure: {measure.text}"
    assert answer.seconds == pytest.approx(measure.seconds, abs=TOLERANCE_SECONDS + ROUNDED_SECONDS)
    tolerance = (NARROW_TOLERANCE_SECONDS if file.is_narrow else TOLERANCE_SECONDS) + ROUNDED_SECONDS
    assert answer.starts == pytest.approx(measure.starts, abs=tolerance)
    assert file.warnings <= answer.warnings <= file.warnings | file.may_warn


def test_every_container_is_among_them(heard: Heard) -> None:
    containers = {file.result().container for name, (file, _) in heard.items() if name.startswith("plain ")}
    assert containers == {container.value for container in Container}


def test_every_file_has_a_name_of_its_own() -> None:
    assert len({file.name for file in FIELD_FILES}) == len(FIELD_FILES) >= 75
