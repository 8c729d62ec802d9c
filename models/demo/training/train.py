"""Train the demo model: `python train.py WORK --minutes 120`. Resumes from WORK/checkpoint.pt; safe to kill at any time."""

import argparse
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from batches import Batch, Sampler, load
from lexicon import Lexicon
from muon import Muon
from network import Whisper

#: (share of the total time at which the stage ends, longest single utterance in seconds; None: joined utterances)
STAGES = ((0.16, 1.6), (0.23, 4.0), (0.42, 9.0), (1.0, None))
#: From this share of the time on, voices and microphones are changed less: what is left to learn is the words.
GENTLE_SHARE, GENTLE_STRENGTH = 0.85, 0.4
PEAK_RATE, LAST_RATE = 1.5e-3, 4e-5
#: Muon takes larger steps than AdamW at this width.
MUON_BOOST = 2.5
CTC_WEIGHT, TOKEN_NOISE = 0.8, 0.06
#: Shares of a text token's probability given to all text tokens, and of a time token's to the times around it.
LABEL_SMOOTHING, TIME_SMOOTHING = 0.05, 0.2


class Trainer:
    """Model, its running average, the two optimizers (Muon for matrices, AdamW for the rest) and the clock."""

    def __init__(self, work: Path, minutes: float, budget_seconds: float) -> None:
        self.work, self.total_seconds, self.budget_seconds = work, minutes * 60, budget_seconds
        words = {word for kind in ("short", "full") for clip in load(work / kind) for word in clip.text.split()}
        self.lexicon = Lexicon(words, work / "phonemes.json")
        self.tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
        self.model = Whisper(self.tokenizer.get_vocab_size())
        self.average = {k: v.clone() for k, v in self.model.state_dict().items()}
        matrices = [p for n, p in self.model.named_parameters() if p.ndim == 2 and ("coder." in n)]
        taken = {id(p) for p in matrices}
        rest = [p for p in self.model.parameters() if id(p) not in taken]
        self.optimizers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=PEAK_RATE),
            torch.optim.AdamW(rest, lr=PEAK_RATE, betas=(0.9, 0.98), weight_decay=0.01),
        ]
        self.elapsed_seconds, self.steps, self.heard_seconds = 0.0, 0, 0.0
        self._resume()

    def run(self) -> None:
        """Train until the time is used up, with a line every 20 s and a checkpoint every minute.

        The clock counts processor time over threads, so that a busy machine stretches the schedule and does not cut it.
        """
        stage, batches, losses = -1.0, iter(()), []  # type: ignore[var-annotated]
        said = saved = loaded = time.monotonic()
        while self.elapsed_seconds < self.total_seconds:
            started = time.process_time()
            if self._stage() != stage or time.monotonic() - loaded > 300:
                stage, loaded = self._stage(), time.monotonic()
                batches = self._batches(stage)
            losses.append(self._step(next(batches)))
            now = time.monotonic()
            self.elapsed_seconds += (time.process_time() - started) / torch.get_num_threads()
            if now - said > 20:
                attention, ctc = (sum(x) / len(losses) for x in zip(*losses, strict=True))
                print(
                    f"{self.elapsed_seconds / 60:6.1f} min  step {self.steps:6d}  heard {self.heard_seconds / 3600:6.1f} h  "
                    f"stage {stage}  ce {attention:.3f}  ctc {ctc:.3f}  rate {self._rate():.5f}",
                    flush=True,
                )
                said, losses = now, []
            if now - saved > 60:
                self.save()
                saved = now
        self.save()

    def _stage(self) -> float | None:
        return next(longest for end, longest in STAGES if self._share() < end or end == 1.0)

    def _batches(self, longest: float | None) -> Iterator[Batch]:
        clips = load(self.work / "full") if longest != STAGES[0][1] else []
        clips = [*clips, *load(self.work / "short")] if longest is not None else clips
        budget_seconds = self.budget_seconds * (0.6 if longest == STAGES[0][1] else 1.0)
        sampler = Sampler(clips, self.tokenizer, self.steps, budget_seconds, self.lexicon, self._strength())
        if longest is not None:
            return prefetched(sampler.single(longest))
        # Every other batch of single utterances: they are most of what is asked of the model, and cheap.
        return prefetched(
            batch for pair in zip(sampler.joined(), sampler.single(STAGES[-2][1] or 9.0), strict=True) for batch in pair
        )

    def _strength(self) -> float:
        """Of the augmentation: little while the first words are learnt and at the end."""
        share = self._share()
        if share < STAGES[0][0]:
            return 0.3
        return 1.0 if share < GENTLE_SHARE else GENTLE_STRENGTH

    def _share(self) -> float:
        return self.elapsed_seconds / self.total_seconds

    def _rate(self) -> float:
        share = self._share()
        if share > 0.45:
            return LAST_RATE + (PEAK_RATE - LAST_RATE) * (1 - share) / 0.55
        return PEAK_RATE * min(1.0, (self.steps + 1) / 200)

    def _step(self, batch: Batch) -> tuple[float, float]:
        for optimizer in self.optimizers:
            boost = MUON_BOOST if isinstance(optimizer, Muon) else 1.0
            for group in optimizer.param_groups:
                group["lr"] = self._rate() * boost
        attention, ctc = self._losses(batch)
        (attention + CTC_WEIGHT * ctc).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.heard_seconds += batch.mel.shape[0] * batch.mel.shape[2] / 100
        keep = min(0.998, self.steps / (self.steps + 50))
        with torch.no_grad():
            for name, value in self.model.state_dict().items():
                self.average[name].lerp_(value, 1 - keep)
        return attention.item(), ctc.item()

    def _losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        inputs, targets = batch.tokens[:, :-1].clamp(min=0), batch.tokens[:, 1:]
        noisy = torch.rand(inputs.shape) < TOKEN_NOISE
        noisy &= inputs < 512  # words only, never the prompt's or the time's tokens
        inputs = torch.where(noisy, torch.randint(0, 512, inputs.shape), inputs)
        memory = self.model.encode(batch.mel, batch.positions)
        hidden = self.model.decode(inputs, memory)
        prompt_end = (batch.tokens == self.tokenizer.token_to_id("<|startoftranscript|>")).long().argmax(dim=1)
        wanted = (targets != -100) & (torch.arange(targets.shape[1])[None, :] >= prompt_end[:, None])
        logits = hidden[wanted] @ self.model.embedding.weight.T
        return self._token_loss(logits, targets[wanted]), self._ctc(memory, batch)

    def _token_loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy, smoothed within the kind of token.

        Decoders take a time token as soon as all times together are likelier than the likeliest word, so probability
        smoothed from words to 1,501 times would end segments in the middle of a word.
        """
        first_time = int(self.tokenizer.token_to_id("<|0.00|>"))
        log = logits.log_softmax(-1)
        said = -log.gather(1, targets[:, None])[:, 0]
        is_time = targets >= first_time
        around = torch.stack([(targets + k).clamp(first_time, log.shape[1] - 1) for k in (-2, -1, 1, 2)], dim=1)
        near = -(log.gather(1, around) @ torch.tensor([1 / 6, 1 / 3, 1 / 3, 1 / 6]))
        words = -log[:, :512].mean(dim=1)
        share = torch.where(is_time, TIME_SMOOTHING, LABEL_SMOOTHING)
        return ((1 - share) * said + share * torch.where(is_time, near, words)).mean()

    def _ctc(self, memory: Tensor, batch: Batch) -> Tensor:
        """Half letters, half sounds."""
        total = torch.zeros(())
        for head, targets, lengths in (
            (self.model.characters, batch.characters, batch.character_lengths),
            (self.model.phonemes, batch.phonemes, batch.phoneme_lengths),
        ):
            log_probabilities = head(memory).log_softmax(-1).transpose(0, 1)
            total = total + F.ctc_loss(log_probabilities, targets, batch.frame_lengths, lengths, zero_infinity=True) / 2
        return total

    def save(self) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizers": [o.state_dict() for o in self.optimizers],
            "clock": (self.elapsed_seconds, self.steps, self.heard_seconds),
        }
        torch.save(state, self.work / "checkpoint.tmp")
        os.replace(self.work / "checkpoint.tmp", self.work / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.work / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.elapsed_seconds, self.steps, self.heard_seconds = state["clock"]
        complete = not self.model.load_state_dict(state["model"], strict=False).missing_keys
        self.average |= state["average"]
        if not complete:
            return  # the checkpoint is of a model with fewer heads: its optimizers do not fit
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)


def prefetched(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, the next ones made in a thread while the last one is learnt from."""
    made: queue.Queue[Batch] = queue.Queue(maxsize=2)
    left = threading.Event()

    def make() -> None:
        for batch in batches:
            while not left.is_set():
                try:
                    made.put(batch, timeout=1.0)
                    break
                except queue.Full:
                    continue
            if left.is_set():
                return

    threading.Thread(target=make, daemon=True).start()
    try:
        while True:
            yield made.get()
    finally:
        left.set()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--budget-seconds", type=float, default=100)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    Trainer(args.work, args.minutes, args.budget_seconds).run()


if __name__ == "__main__":
    main()
