"""Breaks valid files. The same number gives the same bytes again."""

import random
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

CHANCE = "audio fuzz 1"
MOST_STEPS = 8
#: Most headers are within this many bytes.
HEADER_BYTES = 200
#: A file does not become longer than this, however often its blocks are doubled.
MOST_BYTES = 2_000_000
_POWERS = [1 << bit for bit in range(32)]
_FIELD_VALUES = [0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFF, 0x7FFF, 0x8000, *_POWERS]


@dataclass(frozen=True)
class Mutant:
    """A broken file, and how it was made."""

    number: int
    seed: str
    steps: tuple[str, ...]
    content: bytes


def mutant(number: int, seeds: Mapping[str, bytes]) -> Mutant:
    """The mutant of this number. The seeds take turns."""
    names = list(seeds)
    name = names[number % len(names)]
    rng = random.Random(f"{CHANCE}: {number}")
    content, steps = bytearray(seeds[name]), []
    # Mostly few steps: a file broken in eight places is mostly refused for the first of them.
    for _ in range(min(rng.randint(1, MOST_STEPS), rng.randint(1, MOST_STEPS))):
        act = rng.choice(_ACTS)
        steps.append(f"{act.__name__.strip('_')} {act(content, rng, seeds)}")
        del content[MOST_BYTES:]
    return Mutant(number, name, tuple(steps), bytes(content))


def _place(content: bytearray, rng: random.Random) -> int:
    """A random place: half of the time in the header, otherwise anywhere."""
    return rng.randrange(max(1, min(len(content), HEADER_BYTES) if rng.random() < 0.5 else len(content)))


def _stretch(content: bytearray, rng: random.Random) -> tuple[int, int]:
    """A stretch of one byte up to a quarter of the file, as often short as long."""
    longest = max(1, len(content) // 4)
    at = _place(content, rng)
    return at, min(len(content), at + int(longest ** rng.random()))


def _flip_bits(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    places = [_place(content, rng) for _ in range(rng.randint(1, 8))]
    for at in places if content else []:
        content[at] ^= 1 << rng.randrange(8)
    return f"at {places}"


def _write_in_header(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    at, written = rng.randrange(HEADER_BYTES), rng.randbytes(rng.randint(1, 4))
    content[at : at + len(written)] = written
    return f"{written.hex()} at {at}"


def _set_field(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    at, value = _place(content, rng), rng.choice(_FIELD_VALUES)
    form, mask = rng.choice([("<H", 0xFFFF), (">H", 0xFFFF), ("<I", 0xFFFFFFFF), (">I", 0xFFFFFFFF)])
    field = struct.pack(form, value & mask)
    content[at : at + len(field)] = field
    return f"{form} {value & mask:#x} at {at}"


def _change_a_length(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    """Change a number that may be a length: it is less than the file's length."""
    head, form = content[:4096], rng.choice(["<I", ">I"])
    found = [at for at in range(len(head) - 3) if 0 < struct.unpack_from(form, head, at)[0] <= len(content)]
    if not found:
        return "(none)"
    at = rng.choice(found)
    before = struct.unpack_from(form, content, at)[0]
    after = rng.choice([before + rng.randint(-16, 16), before * 2, before // 2, before * 256, len(content), 0]) & 0xFFFFFFFF
    struct.pack_into(form, content, at, after)
    return f"{form} {before} to {after} at {at}"


def _zero_a_block(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    start, end = _stretch(content, rng)
    content[start:end] = bytes(end - start)
    return f"{start}:{end}"


def _randomise_a_block(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    start, end = _stretch(content, rng)
    content[start:end] = rng.randbytes(end - start)
    return f"{start}:{end}"


def _remove_a_block(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    start, end = _stretch(content, rng)
    del content[start:end]
    return f"{start}:{end}"


def _double_a_block(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    start, end = _stretch(content, rng)
    at, times = rng.choice([end, _place(content, rng)]), rng.choice([1, 1, 1, 2, 8])
    content[at:at] = bytes(content[start:end]) * times
    return f"{start}:{end} to {at}, {times} times"


def _insert_noise(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    start, end = _stretch(content, rng)
    content[start:start] = rng.randbytes(end - start)
    return f"{end - start} bytes at {start}"


def _truncate(content: bytearray, rng: random.Random, _: Mapping[str, bytes]) -> str:
    end = rng.choice([rng.randrange(len(content) + 1), _place(content, rng), max(0, len(content) - rng.randint(1, 64))])
    del content[end:]
    return f"to {end}"


def _splice(content: bytearray, rng: random.Random, seeds: Mapping[str, bytes]) -> str:
    """Join the beginning of this file and the end of another."""
    name = rng.choice(list(seeds))
    other = seeds[name]
    at, go_on = _place(content, rng), rng.randrange(len(other))
    content[at:] = other[go_on:]
    return f"from {at} with {name!r} from {go_on}"


def _overwrite_magic(content: bytearray, rng: random.Random, seeds: Mapping[str, bytes]) -> str:
    name, size = rng.choice(list(seeds)), rng.choice([4, 8, 12, 16, 32])
    content[:size] = seeds[name][:size]
    return f"with {size} bytes of {name!r}"


_ACTS: Sequence[Callable[[bytearray, random.Random, Mapping[str, bytes]], str]] = (
    _flip_bits,
    _write_in_header,
    _set_field,
    _set_field,
    _change_a_length,
    _zero_a_block,
    _randomise_a_block,
    _remove_a_block,
    _double_a_block,
    _insert_noise,
    _truncate,
    _splice,
    _overwrite_magic,
)
