"""The memory of encoders: `python -m tests.benchmarks.encoder_memory [FOLDER]`, which keeps the models it makes in the folder.

For every size of Whisper, what the encoder's weights take, from their shapes. For `base` and `small` (random weights) what a
process holds once it has loaded the model and encoded a full window, with each encoder, and with files in int8 and in float16.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from ctranslate2.specs.model_spec import index_spec
from numpy.typing import NDArray

from shared.settings import DEMO_MODEL
from worker.process_memory import resident_bytes

POSITIONS, DECODER_POSITIONS, WORDS = 1500, 448, 51_865
MEGABYTE = 1_000_000
#: Bytes that OpenVINO holds for each weight of the encoder: the constant, and the copy that is laid out for the processor.
OPENVINO_BYTES = {"bf16": 2 + 2, "int8": 1 + 1, "f32": 4 + 4}
#: And CTranslate2, by compute type.
CTRANSLATE2_BYTES = {"int8": 1, "float32": 4}
ENCODERS = (("ctranslate2", "auto"), ("openvino", "bf16"), ("openvino", "int8"), ("openvino", "f32"))


@dataclass(frozen=True)
class Size:
    """A size of Whisper. Encoder and decoder have the same number of layers."""

    name: str
    layers: int
    width: int
    heads: int
    mels: int = 80

    def encoder_weights(self) -> int:
        """How many weights the encoder has: convolutions, positions, and for each layer attention (4) and feed-forward (8)."""
        return (3 * self.mels + 3 * self.width + POSITIONS + 12 * self.layers * self.width) * self.width


SIZES = (
    Size("tiny", 4, 384, 6),
    Size("base", 6, 512, 8),
    Size("small", 12, 768, 12),
    Size("medium", 24, 1024, 16),
    Size("large-v3", 32, 1280, 20, mels=128),
)


def from_shapes() -> str:
    """A table of the encoder's weights in MB."""
    heads = [f"CTranslate2 {kind}" for kind in CTRANSLATE2_BYTES] + [f"OpenVINO {kind}" for kind in OPENVINO_BYTES]
    rows = [["size", "weights, millions", *heads]]
    for size in SIZES:
        count = size.encoder_weights()
        held = [f"{count * each / MEGABYTE:,.0f}" for each in (*CTRANSLATE2_BYTES.values(), *OPENVINO_BYTES.values())]
        rows.append([size.name, f"{count / MEGABYTE:.0f}", *held])
    return _table(rows)


def measured(folder: Path, sizes: Sequence[Size]) -> str:
    """A table of resident memory in MB, of a process of its own for each row."""
    rows = [["size", "file", "encoder", "resident MB"]]
    for size in sizes:
        for quantization in ("int8", "float16"):
            model = _model(folder / f"{size.name}-{quantization}", size, quantization)
            rows.extend([size.name, quantization, *_resident(model, *encoder)] for encoder in ENCODERS)
    return _table(rows)


def _resident(model: Path, encoder: str, precision: str) -> tuple[str, str]:
    command = [sys.executable, "-m", __spec__.name, "--hold", str(model), encoder, precision]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=600).stdout
    name, held = shown.strip().splitlines()[-1].split(":")
    return name, held


def hold(model: str, encoder: str, precision: str) -> None:
    """Load model and encoder as a worker does, encode a full window, and print the encoder and the resident memory."""
    from worker.model.allocator import keep_freed_memory

    keep_freed_memory()
    from ctranslate2.models import Whisper

    from shared.settings import WorkerSettings
    from worker.chosen_engine import chosen_engine
    from worker.model.encoders.choice import FULL_FRAMES, choose_encoder, sample

    settings: dict[str, Any] = {"whisper_encoder": encoder, "whisper_encoder_precision": precision}
    loaded = Whisper(model, device="cpu", intra_threads=2, inter_threads=2)
    chosen, told = choose_encoder(loaded, Path(model), chosen_engine(WorkerSettings(whisper_cpu_threads=2, **settings)))
    chosen.encode(sample(loaded.n_mels, FULL_FRAMES))
    print(f"{told.name} {told.precision}:{resident_bytes(os.getpid()) / MEGABYTE:.0f}")


def _model(folder: Path, size: Size, quantization: str) -> Path:
    """A model of this size with random weights, unless it is there already."""
    if (folder / "model.bin").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    spec = WhisperSpec(size.layers, size.heads, size.layers, size.heads)
    spec.decoder.scale_embeddings = False
    for name in [name for name, value in spec.variables().items() if value is None]:
        scope, _, attribute = name.rpartition("/")
        setattr(index_spec(spec, scope), attribute, _random(_shape(name, size)))
    for part in (spec.encoder, spec.decoder):
        part.position_encodings.encodings = _random((POSITIONS if part is spec.encoder else DECODER_POSITIONS, size.width))
    specials = [token for token in json.loads((DEMO_MODEL / "vocabulary.json").read_text()) if token.startswith("<|")]
    spec.register_vocabulary([*(f"w{n}" for n in range(WORDS - len(specials))), *specials])
    spec.validate()
    spec.optimize(quantization)
    spec.save(str(folder))
    return folder


def _shape(name: str, size: Size) -> tuple[int, ...]:
    """The shape of a weight, by its name."""
    width = size.width
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/weight": (width, size.mels, 3),
        "conv2/weight": (width, width, 3),
        "embeddings/weight": (WORDS, width),
        "projection/weight": (WORDS, width),
        "self_attention/linear_0/weight": (3 * width, width),
        "/attention/linear_1/weight": (2 * width, width),
        "ffn/linear_0/weight": (4 * width, width),
        "ffn/linear_1/weight": (width, 4 * width),
        "weight": (width, width),
    }
    return next((shape for ending, shape in shapes.items() if name.endswith(ending)), (width,))


def _random(shape: tuple[int, ...]) -> NDArray[np.float32]:
    values: NDArray[np.float32] = np.random.default_rng(0).standard_normal(shape, np.float32)
    values /= np.float32(shape[-1] ** 0.5)
    return values


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


def main() -> None:
    """Print both tables."""
    print(f"{from_shapes()}\n")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        print(measured(folder, [size for size in SIZES if size.name in {"base", "small"}]))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--hold"]:
        hold(*sys.argv[2:])
    else:
        main()
