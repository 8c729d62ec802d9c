"""The tokenizer: byte-level BPE of 512, then Whisper's special tokens in Whisper's order, then its 1501 timestamps."""

import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

import text

BPE_SIZE = 512
SPECIALS = (
    "<|endoftext|>",
    "<|startoftranscript|>",
    "<|en|>",
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",
)
TIMESTAMPS = tuple(f"<|{i * 0.02:.2f}|>" for i in range(1501))


def train(path: Path) -> Tokenizer:
    """Learn the merges from the corpus' own text and save the tokenizer at `path`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=BPE_SIZE, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
    tokenizer.train_from_iterator([" " + s for s in text.natural_sentences() + text.vocabulary()], trainer)
    assert tokenizer.get_vocab_size() == BPE_SIZE
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in (*SPECIALS, *TIMESTAMPS)])
    tokenizer.save(str(path))
    return tokenizer


if __name__ == "__main__":
    train(Path(sys.argv[1]))
