"""Go on from committed weights: `python warm_start.py MODEL_FOLDER WORK` writes WORK/checkpoint.pt for `train.py`.

Reads CTranslate2's binary format (ctranslate2/specs/model_spec.py, `_serialize`): the auxiliary heads and the optimizers are
not in there and start anew, which costs a few minutes; the rounding to int8 is forgotten sooner than that.
"""

import argparse
import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from network import DECODER_LAYERS, ENCODER_LAYERS, WIDTH, Whisper

#: CTranslate2's data types by number.
DTYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}
Variables = dict[str, NDArray[np.float32]]


def read(path: Path) -> Variables:
    """Every variable of a model.bin as float32; int8 weights are multiplied out with their scales."""
    raw: dict[str, NDArray[np.generic]] = {}
    with path.open("rb") as opened:
        _number(opened, "I"), _string(opened), _number(opened, "I")
        for _ in range(_number(opened, "I")):
            name, rank = _string(opened), _number(opened, "B")
            shape = [_number(opened, "I") for _ in range(rank)]
            dtype = DTYPES[_number(opened, "B")]
            raw[name] = np.frombuffer(opened.read(_number(opened, "I")), dtype).reshape(shape)
        for _ in range(_number(opened, "I")):
            alias, name = _string(opened), _string(opened)
            raw[alias] = raw[name]
            if f"{name}_scale" in raw:
                raw[f"{alias}_scale"] = raw[f"{name}_scale"]
    return {name: _real(raw, name) for name in raw}


def _real(raw: dict[str, NDArray[np.generic]], name: str) -> NDArray[np.float32]:
    value = raw[name].astype(np.float32)
    if raw[name].dtype == np.int8 and f"{name}_scale" in raw:
        value = value / raw[f"{name}_scale"].astype(np.float32).reshape(-1, *[1] * (value.ndim - 1))
    return np.asarray(value, np.float32)


def _number(opened: BinaryIO, kind: str) -> int:
    return int(struct.unpack(f"<{kind}", opened.read(struct.calcsize(f"<{kind}")))[0])


def _string(opened: BinaryIO) -> str:
    return opened.read(_number(opened, "H"))[:-1].decode()


def fill(model: Whisper, v: Variables) -> None:
    """The opposite of `export.fill`."""
    weights = {
        "embedding.weight": v["decoder/embeddings/weight"],
        "token_positions": v["decoder/position_encodings/encodings"],
        **_pair("conv1", v, "encoder/conv1"),
        **_pair("conv2", v, "encoder/conv2"),
        **_norm("encoder_norm", v, "encoder/layer_norm"),
        **_norm("decoder_norm", v, "decoder/layer_norm"),
    }
    for side, layers in (("encoder", ENCODER_LAYERS), ("decoder", DECODER_LAYERS)):
        for number in range(layers):
            weights |= _block(f"{side}.{number}", v, f"{side}/layer_{number}", cross=side == "decoder")
    missing = model.load_state_dict({k: torch.from_numpy(x.copy()) for k, x in weights.items()}, strict=False).missing_keys
    assert all(k.split(".")[0] in ("characters", "phonemes", "positions") for k in missing), missing


def _pair(ours: str, v: Variables, theirs: str) -> Variables:
    return {f"{ours}.weight": v[f"{theirs}/weight"], f"{ours}.bias": v[f"{theirs}/bias"]}


def _norm(ours: str, v: Variables, theirs: str) -> Variables:
    return {f"{ours}.weight": v[f"{theirs}/gamma"], f"{ours}.bias": v[f"{theirs}/beta"]}


def _split(ours: str, parts: tuple[str, ...], v: Variables, theirs: str) -> Variables:
    """Projections side by side; keys have no bias of ours."""
    found: Variables = {}
    for number, part in enumerate(parts):
        rows = slice(number * WIDTH, (number + 1) * WIDTH)
        found[f"{ours}.{part}.weight"] = v[f"{theirs}/weight"][rows]
        if part != "key":
            found[f"{ours}.{part}.bias"] = v[f"{theirs}/bias"][rows]
    return found


def _block(ours: str, v: Variables, theirs: str, cross: bool) -> Variables:
    own = f"{theirs}/self_attention"
    found = _norm(f"{ours}.attention_norm", v, f"{own}/layer_norm")
    found |= _split(f"{ours}.attention", ("query", "key", "value"), v, f"{own}/linear_0")
    found |= _pair(f"{ours}.attention.out", v, f"{own}/linear_1")
    if cross:
        other = f"{theirs}/attention"
        found |= _norm(f"{ours}.cross_norm", v, f"{other}/layer_norm")
        found |= _pair(f"{ours}.cross.query", v, f"{other}/linear_0")
        found |= _split(f"{ours}.cross", ("key", "value"), v, f"{other}/linear_1")
        found |= _pair(f"{ours}.cross.out", v, f"{other}/linear_2")
    found |= _norm(f"{ours}.mlp_norm", v, f"{theirs}/ffn/layer_norm")
    found |= _pair(f"{ours}.mlp_in", v, f"{theirs}/ffn/linear_0")
    return found | _pair(f"{ours}.mlp_out", v, f"{theirs}/ffn/linear_1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("work", type=Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_file(str(args.model / "tokenizer.json"))
    tokenizer.save(str(args.work / "tokenizer.json"))
    model = Whisper(tokenizer.get_vocab_size())
    fill(model, read(args.model / "model.bin"))
    known = {k: x for k, x in model.state_dict().items() if k.split(".")[0] not in ("characters", "phonemes")}
    torch.save({"model": known, "average": known, "optimizers": [], "clock": (0.0, 0, 0.0)}, args.work / "checkpoint.pt")


if __name__ == "__main__":
    main()
