"""Speak the corpus: `python synthesize.py OUT --kind short|full --count N`. Writes int16 shards and an index, resumably."""

import argparse
import json
import random
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import text
from voices import SAMPLE_RATE_HZ, trained_voice

SHARD_UTTERANCES = 1000


def texts(kind: str, count: int, seed: int) -> list[str]:
    """What is said. `short`: one to three words. `full`: two thirds natural sentences, the rest fragments and draws."""
    rng = random.Random(seed)
    words, natural = text.vocabulary(), text.natural_sentences()
    if kind == "short":
        each_word = list(words)
        pool = each_word + [_short(rng, words, natural) for _ in range(count - len(each_word))]
    else:
        pool = list(natural)
        while len(pool) < count:
            long_draw = rng.random() < 0.6
            pool.append(
                text.random_draw(rng, words, rng.randint(3, 10)) if long_draw else text.fragment(rng, natural, rng.randint(2, 6))
            )
    rng.shuffle(pool)
    return pool[:count]


def _short(rng: random.Random, words: list[str], natural: list[str]) -> str:
    count = rng.randint(1, 3)
    return text.random_draw(rng, words, count) if rng.random() < 0.4 else text.fragment(rng, natural, count)


def shard(job: tuple[Path, int, list[str], int]) -> int:
    """Synthesize one shard; both files appear only when it is whole."""
    out, number, sentences, seed = job
    done = out / f"{number:04d}.json"
    if done.exists():
        return number
    rng = random.Random(seed * 100_003 + number)
    clips, kept = [], []
    for sentence in sentences:
        samples = trained_voice(rng).say(sentence)
        if len(samples) < SAMPLE_RATE_HZ // 10:
            continue
        clips.append((samples * (30_000 / np.abs(samples).max())).astype(np.int16))
        kept.append([sentence, len(samples)])
    np.save(out / f"{number:04d}.npy", np.concatenate(clips))
    done.write_text(json.dumps(kept))
    return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--kind", choices=("short", "full"), default="full")
    parser.add_argument("--count", type=int, default=40_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    sentences = texts(args.kind, args.count, args.seed)
    jobs = [
        (args.out, i, sentences[i * SHARD_UTTERANCES : (i + 1) * SHARD_UTTERANCES], args.seed)
        for i in range(-(-len(sentences) // SHARD_UTTERANCES))
    ]
    with get_context("spawn").Pool(args.processes) as pool:
        for number in pool.imap_unordered(shard, jobs):
            print(f"shard {number} of {len(jobs)}", flush=True)


if __name__ == "__main__":
    main()
