"""Which target applies on which processor, and against which measurements a burst is compared."""

import pytest

from tests import host
from tests.benchmarks.throughput import _neighbours


@pytest.mark.parametrize(
    ("flags", "sets", "target"),
    [
        ("fpu avx2 avx512f avx512_vnni", ["avx2", "avx512f", "avx512_vnni"], 1.9),
        ("fpu avx512_bf16 avx2 avx512f", ["avx2", "avx512f", "avx512_bf16"], 3.5),
        ("avx2 amx_tile amx_bf16 amx_int8", ["avx2", "amx_bf16", "amx_int8"], 3.5),
        ("", [], 1.9),
    ],
)
def test_the_target_depends_on_bf16(monkeypatch: pytest.MonkeyPatch, flags: str, sets: list[str], target: float) -> None:
    monkeypatch.setattr(host, "_described", lambda: {"model name": "Some CPU", "flags": flags})
    assert host.instruction_sets() == sets
    assert host.by_processor(bf16=3.5, other=1.9) == target
    assert host.processor() == " with ".join(filter(None, ("Some CPU", ", ".join(sets))))


def test_a_burst_is_compared_with_what_lies_around_it() -> None:
    assert _neighbours([1.0, 3.0, 5.0]) == [2.0, 4.0]
