"""The encoder that a CTranslate2 model brings along."""

import ctranslate2
from ctranslate2.models import Whisper


class CTranslate2Encoder:
    """An `Encoder` that leaves the work to CTranslate2, on a CPU or a GPU."""

    name = "ctranslate2"

    def __init__(self, model: Whisper) -> None:
        self._model = model
        self.precision = str(model.compute_type)

    def encode(self, features: ctranslate2.StorageView, to_cpu: bool = False) -> ctranslate2.StorageView:
        """As `Encoder.encode`. The result's type is the model's own float type."""
        return self._model.encode(features, to_cpu=to_cpu)
