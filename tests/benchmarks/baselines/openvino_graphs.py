"""Whisper's encoder and decoder as OpenVINO models, with the inputs, outputs and states that OpenVINO GenAI expects.

The operations are those that `optimum-cli export openvino --task automatic-speech-recognition-with-past` writes for a Whisper
of this size: layer norms as MVN, fused attention, keys and values as states that are reordered by `beam_idx`, those of the
encoder's output computed once per window. So the plugin for processors recognises them, and makes them as fast as exported ones.
"""

from collections.abc import Sequence

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13 as op
from openvino.op.util import Variable, VariableInfo

from tests.benchmarks.base_shape import DECODER_POSITIONS, ENCODER_POSITIONS, HEADS, LAYERS, MEL_BINS, WIDTH

Weights = dict[str, NDArray[np.float32]]
HEAD_WIDTH = WIDTH // HEADS
#: Whisper's layer norms add this to the variance.
EPSILON = 1e-5


class Graph:
    """Builds the parts that encoder and decoder share. `eight_bits` keeps the matrices as int8 with a scale per row."""

    def __init__(self, weights: Weights, *, eight_bits: bool) -> None:
        self._weights = weights
        self._eight_bits = eight_bits

    def linear(self, x: ov.Node, name: str, part: slice = slice(None)) -> ov.Node:
        """`x` times the matrix, plus the bias; `part` takes some of the rows."""
        product = op.matmul(x, self._matrix(self._weights[f"{name}/weight"][part]), transpose_a=False, transpose_b=True)
        return op.add(product, floats(self._weights[f"{name}/bias"][part].reshape(1, 1, -1)))

    def project(self, x: ov.Node, name: str) -> ov.Node:
        """`x` times the matrix, without a bias."""
        return op.matmul(x, self._matrix(self._weights[name]), transpose_a=False, transpose_b=True)

    def norm(self, x: ov.Node, name: str) -> ov.Node:
        centred = op.mvn(x, integers([-1]), normalize_variance=True, eps=EPSILON, eps_mode="inside_sqrt")
        gain, bias = (floats(self._weights[f"{name}/{what}"]) for what in ("gamma", "beta"))
        return op.add(op.multiply(centred, gain), bias)

    def feed_forward(self, x: ov.Node, name: str) -> ov.Node:
        """`x` plus the two linear layers of its norm."""
        inner = op.gelu(self.linear(self.norm(x, f"{name}/layer_norm"), f"{name}/linear_0"), "erf")
        return op.add(x, self.linear(inner, f"{name}/linear_1"))

    def convolution(self, x: ov.Node, name: str, stride: int) -> ov.Node:
        kernel, bias = self._weights[f"{name}/weight"], self._weights[f"{name}/bias"].reshape(1, -1, 1)
        return op.gelu(op.add(op.convolution(x, floats(kernel), [stride], [1], [1], [1]), floats(bias)), "erf")

    def _matrix(self, values: NDArray[np.float32]) -> ov.Node:
        """As weight compression writes it: int8, converted and scaled where it is used."""
        if not self._eight_bits:
            return floats(values)
        scales = np.abs(values).max(axis=1, keepdims=True) / 127
        steps = np.divide(values, scales, out=np.zeros_like(values), where=scales > 0).round().astype(np.int8)
        return op.multiply(op.convert(op.constant(steps), np.float32), floats(scales))


def encoder(weights: Weights, *, eight_bits: bool = False) -> ov.Model:
    """`input_features` (batch, 80, 3000) to `last_hidden_state` (batch, 1500, width)."""
    graph = Graph(weights, eight_bits=eight_bits)
    features = op.parameter([-1, MEL_BINS, 2 * ENCODER_POSITIONS], np.float32, name="input_features")
    x = graph.convolution(graph.convolution(features, "encoder/conv1", 1), "encoder/conv2", 2)
    x = op.add(op.transpose(x, integers([0, 2, 1])), floats(weights["encoder/position_encodings/encodings"][None]))
    for layer in range(LAYERS):
        name = f"encoder/layer_{layer}"
        normed, source = graph.norm(x, f"{name}/self_attention/layer_norm"), f"{name}/self_attention/linear_0"
        query, key, value = (_heads(graph.linear(normed, source, part)) for part in _thirds())
        attended = op.scaled_dot_product_attention(query, key, value, causal=False)
        x = op.add(x, graph.linear(_joined(attended), f"{name}/self_attention/linear_1"))
        x = graph.feed_forward(x, f"{name}/ffn")
    return _model(graph.norm(x, "encoder/layer_norm"), "last_hidden_state", [features])


def decoder(weights: Weights, *, eight_bits: bool = False) -> ov.Model:
    """`input_ids` (batch, tokens), `encoder_hidden_states` and `beam_idx` (batch) to `logits`. It remembers keys and values."""
    graph = Graph(weights, eight_bits=eight_bits)
    tokens = op.parameter([-1, -1], np.int64, name="input_ids")
    hidden = op.parameter([-1, -1, WIDTH], np.float32, name="encoder_hidden_states")
    beams = op.parameter([-1], np.int32, name="beam_idx")
    states = _States(tokens, beams)
    pasts = [(states.past(f"{n}.decoder.key"), states.past(f"{n}.decoder.value")) for n in range(LAYERS)]
    first, count = _length(pasts[0][0], 2), _length(tokens, 1)
    places = op.range(_scalar(first), _scalar(op.add(first, count)), op.constant(1, np.int64), "i64")
    x = op.gather(floats(weights["decoder/embeddings/weight"]), tokens, op.constant(0, np.int64))
    x = op.add(x, op.gather(floats(weights["decoder/position_encodings/encodings"][:DECODER_POSITIONS]), places, _zero()))
    mask = _mask(places, op.add(first, count))
    for layer in range(LAYERS):
        name = f"decoder/layer_{layer}"
        x = op.add(x, _self_attention(graph, x, layer, pasts[layer], mask, states))
        x = op.add(x, _cross_attention(graph, x, layer, hidden, states))
        x = graph.feed_forward(x, f"{name}/ffn")
    logits = graph.project(graph.norm(x, "decoder/layer_norm"), "decoder/embeddings/weight")
    return _model(logits, "logits", [tokens, hidden, beams], states.assigned)


class _States:
    """The decoder's memory: two growing states per layer, and two that the encoder's output fills once."""

    def __init__(self, tokens: ov.Node, beams: ov.Node) -> None:
        self._beams = beams
        shape = [_length(tokens, 0), integers([HEADS]), integers([0]), integers([HEAD_WIDTH])]
        self._empty = op.broadcast(op.constant(0.0, np.float32), op.concat(shape, 0))
        self._variables: dict[str, Variable] = {}
        self.assigned: list[ov.Node] = []

    def past(self, name: str) -> ov.Node:
        """What was kept, in the order of the beams that go on; nothing at first."""
        return op.gather(self._read(name, self._empty), self._beams, _zero())

    def keep(self, name: str, value: ov.Node) -> ov.Node:
        self.assigned.append(op.assign(value, self._variables[name]))
        return value

    def once(self, name: str, value: ov.Node) -> ov.Node:
        """Computed at the first step of a window, then remembered."""
        return self.keep(name, self._read(name, value))

    def _read(self, name: str, first: ov.Node) -> ov.Node:
        info = VariableInfo()
        info.data_shape = ov.PartialShape([-1, HEADS, -1, HEAD_WIDTH])
        info.data_type = ov.Type.f32
        info.variable_id = f"past_key_values.{name}present.{name}"
        self._variables[name] = Variable(info)
        return op.read_value(first, self._variables[name])


def _self_attention(
    graph: Graph, x: ov.Node, layer: int, past: tuple[ov.Node, ov.Node], mask: ov.Node, states: _States
) -> ov.Node:
    name = f"decoder/layer_{layer}/self_attention"
    normed = graph.norm(x, f"{name}/layer_norm")
    query, key, value = (_heads(graph.linear(normed, f"{name}/linear_0", part)) for part in _thirds())
    keys = states.keep(f"{layer}.decoder.key", op.concat([past[0], key], 2))
    values = states.keep(f"{layer}.decoder.value", op.concat([past[1], value], 2))
    attended = op.scaled_dot_product_attention(query, keys, values, mask, causal=False)
    return graph.linear(_joined(attended), f"{name}/linear_1")


def _cross_attention(graph: Graph, x: ov.Node, layer: int, hidden: ov.Node, states: _States) -> ov.Node:
    name = f"decoder/layer_{layer}/attention"
    query = _heads(graph.linear(graph.norm(x, f"{name}/layer_norm"), f"{name}/linear_0"))
    halves = slice(0, WIDTH), slice(WIDTH, 2 * WIDTH)
    key, value = (_heads(graph.linear(hidden, f"{name}/linear_1", half)) for half in halves)
    keys, values = states.once(f"{layer}.encoder.key", key), states.once(f"{layer}.encoder.value", value)
    return graph.linear(_joined(op.scaled_dot_product_attention(query, keys, values, causal=False)), f"{name}/linear_2")


def _mask(places: ov.Node, total: ov.Node) -> ov.Node:
    """0 where a token may look (itself and before), else the least number: (1, 1, tokens, tokens and past)."""
    columns = op.range(op.constant(0, np.int64), _scalar(total), op.constant(1, np.int64), "i64")
    seen = op.less_equal(op.unsqueeze(columns, integers([0, 1, 2])), op.unsqueeze(places, integers([0, 1, 3])))
    return op.select(seen, floats(np.zeros(1)), floats(np.full(1, np.finfo(np.float16).min)))


def _heads(x: ov.Node) -> ov.Node:
    """(batch, length, width) to (batch, heads, length, head's width)."""
    return op.transpose(op.reshape(x, integers([0, 0, HEADS, HEAD_WIDTH]), special_zero=True), integers([0, 2, 1, 3]))


def _joined(x: ov.Node) -> ov.Node:
    return op.reshape(op.transpose(x, integers([0, 2, 1, 3])), integers([0, 0, WIDTH]), special_zero=True)


def _thirds() -> list[slice]:
    return [slice(n * WIDTH, (n + 1) * WIDTH) for n in range(3)]


def _length(x: ov.Node, axis: int) -> ov.Node:
    """The size of one axis, shaped (1)."""
    return op.gather(op.shape_of(x), integers([axis]), _zero())


def _scalar(x: ov.Node) -> ov.Node:
    return op.squeeze(x, _zero())


def _zero() -> ov.Node:
    return op.constant(0, np.int64)


def integers(values: Sequence[int]) -> ov.Node:
    return op.constant(np.array(values, np.int64))


def floats(values: NDArray[np.floating]) -> ov.Node:
    return op.constant(np.ascontiguousarray(values, np.float32))


def _model(output: ov.Node, name: str, inputs: list[ov.Node], sinks: Sequence[ov.Node] = ()) -> ov.Model:
    model = ov.Model([op.result(output)], list(sinks), inputs, name)
    model.output(0).tensor.set_names({name})
    for node in inputs:
        node.output(0).tensor.set_names({node.friendly_name})
    return model
