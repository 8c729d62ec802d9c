"""A job's states, its moves, and its record."""

import re

from shared.jobs.job import LEGAL_MOVES, Job, JobState
from tests.processes import ROOT


def test_every_state_has_its_moves_and_a_terminal_one_leads_at_most_to_a_new_life() -> None:
    assert set(LEGAL_MOVES) == set(JobState)
    assert all(LEGAL_MOVES[s] <= {JobState.QUEUED} for s in JobState if s.is_terminal)
    assert {s for s in JobState if s.is_terminal} == {JobState.COMPLETED, JobState.FAILED, JobState.CANCELED, JobState.EXPIRED}


def test_the_scripts_know_the_same_terminal_states() -> None:
    prelude = (ROOT / "shared" / "jobs" / "scripts" / "parts" / "prelude.lua").read_text()
    listed = re.search(r"TERMINAL = \{(.*?)\}", prelude)
    assert listed is not None
    assert set(re.findall(r"(\w+) = true", listed[1])) == {s.value for s in JobState if s.is_terminal}


def test_the_scripts_know_the_same_moves() -> None:
    prelude = (ROOT / "shared" / "jobs" / "scripts" / "parts" / "prelude.lua").read_text()
    table = re.search(r"local MOVES = \{(.*?)\n\}", prelude, re.DOTALL)
    assert table is not None
    written = {
        JobState(a): {JobState(m) for m in re.findall(r"(\w+) = true", b)} for a, b in re.findall(r"(\w+) = \{(.*?)\}", table[1])
    }
    assert {state: moves - {state} for state, moves in written.items()} == LEGAL_MOVES


def test_a_record_is_read_from_its_hash() -> None:
    job = Job.from_hash(
        {
            "id": "a",
            "state": "failed",
            "tenant": "t",
            "options": '{"language":"de","beam_size":2}',
            "model": "demo",
            "sha256": "ab" * 32,
            "audio_format": "wav",
            "size_bytes": "10",
            "audio_seconds": "2.5",
            "created_at_ms": "5",
            "error": '{"code":"not_audio","message":"m"}',
            "metadata": '{"k":1}',
            "a_field_of_a_newer_version": "x",
        }
    )
    assert (job.options.language, job.options.beam_size, job.error and job.error.code) == ("de", 2, "not_audio")
    assert job.metadata == {"k": 1}


def test_logs_say_nothing_of_the_content() -> None:
    job = Job.from_hash(
        {"id": "a", "state": "queued", "tenant": "t", "options": '{"prompt":"secret"}', "model": "m", "sha256": "ab" * 32,
         "audio_format": "wav", "size_bytes": "1", "audio_seconds": "1", "created_at_ms": "1", "metadata": '{"name":"secret"}'}
    )  # fmt: skip
    assert "secret" not in str(job.log_context())
