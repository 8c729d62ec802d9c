"""Whisper's architecture in plain PyTorch, small: pre-norm, GELU, sinusoidal encoder positions, tied output."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lexicon import MAX_PHONEMES

WIDTH, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 192, 3, 4, 3
MEL_BINS, ENCODER_POSITIONS, DECODER_POSITIONS = 80, 1500, 448
#: The auxiliary CTC alphabet: blank, 26 letters, apostrophe, space.
CHARACTERS = " abcdefghijklmnopqrstuvwxyz'"


def sinusoids(length: int, channels: int) -> Tensor:
    """Whisper's fixed encoder positions, shape (length, channels)."""
    step = math.log(10_000) / (channels // 2 - 1)
    scales = torch.exp(-step * torch.arange(channels // 2))
    angles = torch.arange(length)[:, None] * scales[None, :]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Attention(nn.Module):
    """Multi-head attention; keys carry no bias, as in Whisper."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.value, self.out = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.key = nn.Linear(WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, source: Tensor, causal: bool = False) -> Tensor:
        q, k, v = (self._split(t) for t in (self.query(x), self.key(source), self.value(source)))
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))

    @staticmethod
    def _split(t: Tensor) -> Tensor:
        return t.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class Block(nn.Module):
    """One encoder (`cross=False`) or decoder (`cross=True`) layer."""

    def __init__(self, cross: bool) -> None:
        super().__init__()
        self.attention_norm, self.attention = nn.LayerNorm(WIDTH), Attention()
        self.cross_norm = nn.LayerNorm(WIDTH) if cross else None
        self.cross = Attention() if cross else None
        self.mlp_norm = nn.LayerNorm(WIDTH)
        self.mlp_in, self.mlp_out = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x: Tensor, memory: Tensor | None = None) -> Tensor:
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed, causal=memory is not None)
        if self.cross is not None and self.cross_norm is not None and memory is not None:
            x = x + self.cross(self.cross_norm(x), memory)
        return x + self.mlp_out(F.gelu(self.mlp_in(self.mlp_norm(x))))


class Whisper(nn.Module):
    """`encode`: mel (batch, 80, frames) and positions to (batch, frames / 2, width). `decode`: tokens to hidden states.

    The logits are the hidden states times the embedding.

    `characters` and `phonemes` are heads on the encoder's output for the auxiliary losses; they are not exported.
    """

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(MEL_BINS, WIDTH, 3, padding=1)
        self.conv2 = nn.Conv1d(WIDTH, WIDTH, 3, stride=2, padding=1)
        self.register_buffer("positions", sinusoids(ENCODER_POSITIONS, WIDTH))
        self.encoder = nn.ModuleList(Block(cross=False) for _ in range(ENCODER_LAYERS))
        self.encoder_norm = nn.LayerNorm(WIDTH)
        self.embedding = nn.Embedding(vocabulary_size, WIDTH)
        self.token_positions = nn.Parameter(torch.empty(DECODER_POSITIONS, WIDTH).normal_(0, 0.02))
        self.decoder = nn.ModuleList(Block(cross=True) for _ in range(DECODER_LAYERS))
        self.decoder_norm = nn.LayerNorm(WIDTH)
        self.characters = nn.Linear(WIDTH, len(CHARACTERS) + 1)
        self.phonemes = nn.Linear(WIDTH, MAX_PHONEMES + 1)
        nn.init.normal_(self.embedding.weight, 0, 0.03)

    def encode(self, mel: Tensor, first_positions: Tensor) -> Tensor:
        """`first_positions` (batch,): 0 for a window that begins at its beginning, as all do outside training."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel)))).transpose(1, 2)
        rows = (first_positions[:, None] + torch.arange(x.shape[1])).clamp(max=ENCODER_POSITIONS - 1)
        x = x + self.positions[rows]  # type: ignore[index]
        for block in self.encoder:
            x = block(x)
        return self.encoder_norm(x)

    def decode(self, tokens: Tensor, memory: Tensor) -> Tensor:
        x = self.embedding(tokens) + self.token_positions[: tokens.shape[1]]
        for block in self.decoder:
            x = block(x, memory)
        return self.decoder_norm(x)
