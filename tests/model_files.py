"""CTranslate2 models for tests: a `model.bin` of given arrays, and the demo model with its weights in any type."""

import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import WhisperSpec
from ctranslate2.specs.model_spec import index_spec
from numpy.typing import NDArray

from shared.settings import DEMO_MODEL
from worker.model.encoders.model_file import TYPES, ModelFile

#: All types that `ct2-transformers-converter --quantization` offers.
QUANTIZATIONS = ("float32", "float16", "bfloat16", "int16", "int8", "int8_float32", "int8_float16", "int8_bfloat16")


def model_bin(
    arrays: Mapping[str, NDArray[Any]], aliases: Mapping[str, str] | None = None, kind: str = "WhisperSpec", version: int = 6
) -> bytes:
    """The bytes of a `model.bin`. Arrays of type uint16 are the bits of bfloat16 values."""
    parts = [struct.pack("<I", version), _text(kind), struct.pack("<II", 3, len(arrays))]
    for name, array in arrays.items():
        head = struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)
        parts += [_text(name), head, struct.pack("<BI", TYPES.index(array.dtype), array.nbytes), array.tobytes()]
    parts.append(struct.pack("<I", len(aliases or {})))
    parts += [_text(alias) + _text(name) for alias, name in (aliases or {}).items()]
    return b"".join(parts)


def _text(value: str) -> bytes:
    return struct.pack("<H", len(value.encode()) + 1) + value.encode() + b"\0"


def demo_model_as(quantization: str, folder: Path) -> Path:
    """A copy of the demo model with its weights in another type, made by CTranslate2's own tools."""
    folder.mkdir(parents=True)
    for path in DEMO_MODEL.glob("*.json"):
        shutil.copy(path, folder)
    (folder / "model.bin").write_bytes(model_bin(*demo_arrays(quantization)))
    return folder


def demo_arrays(quantization: str) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The demo model's arrays with weights in this type, and its aliases."""
    spec = _demo_spec()
    # To make bfloat16, CTranslate2 needs torch: here the bits of float32 values are cut off.
    spec.optimize(quantization.replace("bfloat16", "float32"))
    variables = dict(spec.variables(ordered=True))
    arrays = {name: value.numpy() for name, value in variables.items() if not isinstance(value, str)}
    if "bfloat16" in quantization:
        arrays = {name: _cut(array) if _is_float(name, array) else array for name, array in arrays.items()}
    return arrays, {name: value for name, value in variables.items() if isinstance(value, str)}


def _demo_spec() -> WhisperSpec:
    """The demo model as a specification of CTranslate2, in float32."""
    with ModelFile(DEMO_MODEL / "model.bin") as file:
        layers = {
            part: sum(f"{part}/layer_{n}/ffn/linear_0/weight" in file for n in range(40)) for part in ("encoder", "decoder")
        }
        heads = {part: file.whole_number(f"{part}/num_heads") for part in layers}
        spec = WhisperSpec(layers["encoder"], heads["encoder"], layers["decoder"], heads["decoder"])
        for name in file._stored:
            scope, _, attribute = name.rpartition("/")
            # Numbers that describe the model are in a new specification already; scales are computed anew.
            if file.shape(name) and not name.endswith("_scale"):
                setattr(index_spec(spec, scope), attribute, file.float32(name))
    spec.decoder.scale_embeddings = False
    spec.register_vocabulary(json.loads((DEMO_MODEL / "vocabulary.json").read_text()))
    spec.validate()
    return spec


def _is_float(name: str, array: NDArray[Any]) -> bool:
    return array.dtype == np.float32 and array.ndim > 0 and not name.endswith("_scale")


def _cut(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """The upper halves of float32 values."""
    halves: NDArray[np.uint16] = (np.ascontiguousarray(array).view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return halves
