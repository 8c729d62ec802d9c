"""Whisper's encoder in OpenVINO, on the CPU."""

from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal, get_args

import ctranslate2
import numpy as np

from worker.model.encoders.encoder import EncoderUnavailable
from worker.model.encoders.model_file import ModelFile
from worker.process_memory import available_bytes

#: `int8_`: the linear layers multiply in int8, all else in the type that follows.
Precision = Literal["f32", "bf16", "int8_f32", "int8_bf16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
#: In int8, so many neighbouring inputs of a linear layer share a scale, which is chosen anew for each window. 64 was the fastest
#: of 32 to 256 (decision 24).
INT8_GROUP = 64
#: Bytes of memory for each weight of the encoder while OpenVINO compiles it: the graph in float32, and what is made of it.
PEAK_BYTES_PER_WEIGHT = 8
#: What a broken or unknown version of OpenVINO raises. A machine that has one works without it.
BROKEN = (RuntimeError, ImportError, OSError, MemoryError, ValueError, TypeError, AttributeError)


class OpenVinoEncoder:
    """An `Encoder`. One window is encoded at a time, by all threads; calls that come meanwhile wait for their turn.

    To share the processor between two windows would help neither: the second one would end no earlier, the first one later.
    """

    name = "openvino"

    def __init__(self, folder: Path, precision: Precision, threads: int) -> None:
        """Build the encoder of the model in `folder`. Raises `EncoderUnavailable` if it cannot be built or run here."""
        openvino = _openvino()
        self.precision: str = precision
        try:
            from worker.model.encoders.openvino_graph import encoder_graph

            with ModelFile(folder / "model.bin") as file:
                _need_memory(PEAK_BYTES_PER_WEIGHT * file.count_weights("encoder/"))
                graph = encoder_graph(file, precision)
            kind = precision.removeprefix("int8_")
            self._compiled = openvino.Core().compile_model(graph, "CPU", _options(kind, threads, is_int8=kind != precision))
        except BROKEN as error:
            raise EncoderUnavailable(f"OpenVINO cannot compile the encoder in {precision}: {_first_line(error)}") from error
        #: Requests that no thread is using.
        self._idle: SimpleQueue[Any] = SimpleQueue()

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:  # noqa: ARG002
        """As `Encoder.encode`. The result is float32: CTranslate2 converts it if its decoder calculates in another type."""
        window = np.asarray(features)
        request = self._take()
        try:
            shared = request.infer([window], share_inputs=True, share_outputs=True)[0]
            # The request keeps its output, and overwrites it in its next call. The view keeps this copy alive.
            encoded = np.array(shared, np.float32)
        finally:
            self._idle.put(request)
        if encoded.shape[:2] != (window.shape[0], (window.shape[2] + 1) // 2):
            raise RuntimeError(f"OpenVINO has encoded {window.shape} to {encoded.shape}")
        return ctranslate2.StorageView.from_array(encoded)

    def _take(self) -> Any:
        try:
            return self._idle.get_nowait()
        except Empty:
            return self._compiled.create_infer_request()


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 (AMX, avx512_bf16). Raises `EncoderUnavailable` without a sound OpenVINO."""
    openvino = _openvino()
    try:
        return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except BROKEN as error:
        raise EncoderUnavailable(f"OpenVINO finds no CPU: {_first_line(error)}") from error


def _need_memory(wanted_bytes: int) -> None:
    """Raise `EncoderUnavailable` if less is available: a process without memory is killed, and cannot choose another encoder."""
    if 0 < (available := available_bytes()) < wanted_bytes:
        raise EncoderUnavailable(
            f"OpenVINO needs up to {wanted_bytes / 1e9:.1f} GB for the encoder, and {available / 1e9:.1f} GB are available."
        )


def _openvino() -> Any:
    try:
        import openvino
    except (ImportError, OSError) as error:  # OSError: a library that it needs is missing
        raise EncoderUnavailable(f"OpenVINO cannot be loaded: {_first_line(error)}") from error
    return openvino


def _options(kind: str, threads: int, *, is_int8: bool) -> dict[str, Any]:
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
        # Pinned, the threads of all workers of a machine would share its first cores.
        "ENABLE_CPU_PINNING": False,
        "INFERENCE_PRECISION_HINT": kind,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": INT8_GROUP if is_int8 else 0,
    }


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
