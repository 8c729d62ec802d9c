"""Whisper's encoder as an OpenVINO graph, built from the weights of a CTranslate2 model.

Two convolutions, positions, then layers of self-attention and feed-forward, each after a layer norm; as in CTranslate2's
`src/layers/whisper.cc`. Windows and frames are dynamic: one graph encodes every length up to the model's own.
"""

from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
from numpy.typing import NDArray
from openvino._offline_transformations import compress_model_transformation

from worker.model.encoders.encoder import UnreadableModel
from worker.model.encoders.model_file import ModelFile

#: CTranslate2's epsilon of layer norms, which is Whisper's.
EPSILON = 1e-5
#: More layers than any Whisper has (32).
MOST_LAYERS = 1000


def encoder_graph(file: ModelFile, precision: str) -> ov.Model:
    """The graph from `features` (windows, mels, frames; float32) to (windows, frames / 2, width).

    `precision`: in which it will run, as `openvino_encoder.Precision`; weights are held in as few bytes as lose nothing there.
    Raises `UnreadableModel` if arrays are missing or do not fit each other.
    """
    try:
        graph = _Builder(file, precision).graph()
    except RuntimeError as error:  # OpenVINO checks the shapes of everything that it joins
        raise UnreadableModel("model.bin: the encoder's arrays do not fit each other.") from error
    if precision == "bf16":
        # OpenVINO keeps the constants beside what it makes of them. Float16 halves them, and is finer than bfloat16.
        compress_model_transformation(graph)
    return graph


class _Builder:
    def __init__(self, file: ModelFile, precision: str) -> None:
        self._file, self._precision = file, precision
        self._heads = file.whole_number("encoder/num_heads")
        self._width, self._mels, _ = (*file.shape("encoder/conv1/weight"), 0, 0, 0)[:3]
        if self._heads <= 0 or self._width % self._heads:
            raise UnreadableModel(f"model.bin: a width of {self._width} cannot be divided among {self._heads} heads.")

    def graph(self) -> ov.Model:
        features = op.parameter([-1, self._mels, -1], np.float32, name="features")
        heard = op.gelu(self._convolution(features, "encoder/conv1", stride=1), "erf")
        heard = op.gelu(self._convolution(heard, "encoder/conv2", stride=2), "erf")
        state = self._with_positions(op.transpose(heard, _whole([0, 2, 1])))
        for layer in range(self._count_layers()):
            state = self._layer(state, f"encoder/layer_{layer}")
        return ov.Model([self._norm(state, "encoder/layer_norm")], [features], "whisper_encoder")

    def _count_layers(self) -> int:
        return next(n for n in range(MOST_LAYERS) if f"encoder/layer_{n}/ffn/linear_0/weight" not in self._file)

    def _layer(self, state: Any, name: str) -> Any:
        state = op.add(state, self._attention(self._norm(state, f"{name}/self_attention/layer_norm"), f"{name}/self_attention"))
        wide = self._linear(self._norm(state, f"{name}/ffn/layer_norm"), f"{name}/ffn/linear_0")
        return op.add(state, self._linear(op.gelu(wide, "erf"), f"{name}/ffn/linear_1"))

    def _attention(self, state: Any, name: str) -> Any:
        """Query, key and value lie side by side in the rows of one weight."""
        to_heads, swap = _whole([0, 0, self._heads, self._width // self._heads]), _whole([0, 2, 1, 3])
        parts = op.split(self._linear(state, f"{name}/linear_0"), _whole(2), 3).outputs()
        query, key, value = (op.transpose(op.reshape(part, to_heads, special_zero=True), swap) for part in parts)
        attended = op.scaled_dot_product_attention(query, key, value, *self._attention_scale(name))
        joined = op.reshape(op.transpose(attended, swap), _whole([0, 0, self._width]), special_zero=True)
        return self._linear(joined, f"{name}/linear_1")

    def _attention_scale(self, name: str) -> list[Any]:
        """The scale of the scores, if the file names one; by default it is 1 / sqrt(width of a head)."""
        if (scale := f"{name}/queries_scale") not in self._file:
            return []
        # The operation takes a mask before the scale; a mask of zero hides nothing.
        return [_float(np.zeros((1, 1), np.float32)), _float(self._file.float32(scale).reshape(()))]

    def _with_positions(self, state: Any) -> Any:
        positions = self._file.float32("encoder/position_encodings/encodings").reshape(1, -1, self._width)
        count = op.gather(op.shape_of(state), _whole([1]), _whole(0))
        return op.add(state, op.slice(_float(positions), _whole([0]), count, _whole([1]), _whole([1])))

    def _convolution(self, state: Any, name: str, stride: int) -> Any:
        kernel = _float(self._file.float32(f"{name}/weight"))
        convolved = op.convolution(state, kernel, strides=[stride], pads_begin=[1], pads_end=[1], dilations=[1])
        return self._with_bias(convolved, name, (1, -1, 1))

    def _linear(self, state: Any, name: str) -> Any:
        multiplied = op.matmul(state, self._weight(f"{name}/weight"), transpose_a=False, transpose_b=True)
        return self._with_bias(multiplied, name, (1, 1, -1))

    def _with_bias(self, state: Any, name: str, shape: tuple[int, ...]) -> Any:
        """Add the bias of a layer, which may have none."""
        if f"{name}/bias" not in self._file:
            return state
        return op.add(state, _float(self._file.float32(f"{name}/bias").reshape(shape)))

    def _norm(self, state: Any, name: str) -> Any:
        normed = op.mvn(state, _whole([2]), normalize_variance=True, eps=EPSILON, eps_mode="inside_sqrt")
        gain, shift = (self._file.float32(f"{name}/{part}") for part in ("gamma", "beta"))
        return op.add(op.multiply(normed, _float(gain)), _float(shift))

    def _weight(self, name: str) -> Any:
        """The weight of a linear layer (rows, columns)."""
        # In float32, OpenVINO multiplies int8 weights out as fast as it reads float32 ones. In bfloat16 that costs 8 %.
        stored_int8 = self._file.type(name) == np.int8
        if not self._precision.startswith("int8") and not (stored_int8 and self._precision == "f32"):
            return _float(self._file.float32(name))
        weight = self._file.int8(name)
        return op.multiply(op.convert(op.constant(weight.values), np.float32), _float(weight.factors.reshape(-1, 1)))


def _float(values: NDArray[np.float32]) -> Any:
    return op.constant(np.ascontiguousarray(values))


def _whole(value: int | list[int]) -> Any:
    return op.constant(np.array(value, np.int64))
