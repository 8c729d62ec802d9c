"""What becomes of the words: the demo model through the fleet, with each encoder, precision and window."""

import json
from collections.abc import Iterator
from pathlib import Path

import jiwer

from tests.benchmarks.accuracy import normal
from tests.benchmarks.baselines.process import running, samples_of
from tests.benchmarks.baselines.roster import faster_whisper
from tests.benchmarks.bursts import made_anew, transcripts
from tests.host import multiplies_bf16
from tests.processes import ROOT, running_stack
from tests.report import Finding

DEMO = ROOT / "models" / "demo"
#: The test sets of `make accuracy`, if they have been made here; else the committed clips are listened to.
SETS = ROOT / "build" / "testsets" / "sets.json"
#: One clip of this number of clips in the test sets is heard.
EVERY = 2
#: Encoders with their precisions. The first is what the others are compared with.
REFERENCE = ("ctranslate2", "auto")
#: How many points of word error rate a window or an encoder may cost.
ALLOWED = 0.3


def words(folder: Path) -> Iterator[Finding]:
    """One row that the fleet says what faster-whisper says, then one for each window."""
    yield _agreement(folder)
    names, truth = _clips()
    wavs = [name.read_bytes() for name in names]
    reference = 0.0
    for window in ("full", "trimmed", "adaptive"):
        rates, told = {}, []
        for encoder, precision in _encoders():
            label = "CTranslate2 int8" if encoder == "ctranslate2" else f"OpenVINO {precision}"
            settings = {"WHISPER_ENCODER_WINDOW": window, "WHISPER_ENCODER": encoder, "WHISPER_ENCODER_PRECISION": precision}
            with running_stack(folder / f"{window}-{encoder}-{precision}", workers=2, **settings) as stack:  # type: ignore[arg-type]
                heard = transcripts(stack, wavs)
                rates[label] = 100 * jiwer.wer(truth, [normal(text) for text in heard])
                told.append(f"{label}: {rates[label]:.2f} %" + ("" if window == "full" else f" ({made_anew(stack)})"))
        reference = reference or rates["CTranslate2 int8"]
        many = f"{len(names)} clips, {sum(len(text.split()) for text in truth)} words"
        yield Finding(
            experiment=f"the demo model's word error rate, {window} encoder window, by encoder and precision",
            must=f"none above that of CTranslate2 int8 with the full window by more than {ALLOWED} points",
            seen=f"{'; '.join(told)}; reference {reference:.2f} % ({many})",
            holds=all(rate <= reference + ALLOWED for rate in rates.values()),
        )


def _agreement(folder: Path) -> Finding:
    """The fleet batches clips; faster-whisper hears one after another. Both have CTranslate2's encoder here."""
    names = [path for path in sorted((DEMO / "clips").glob("*.wav")) if not path.name.startswith("joined")]
    wavs = [path.read_bytes() for path in names]
    clips = [samples_of(wav) for wav in wavs]
    with running(faster_whisper("sequence", DEMO), 2, clips[:1]) as alone:
        expected = alone.transcribe(clips).transcripts
    with running_stack(folder / "agreement", workers=2, WHISPER_ENCODER="ctranslate2") as stack:
        heard = transcripts(stack, wavs)
    same = sum(a == b for a, b in zip(expected, heard, strict=True))
    return Finding(
        experiment="the demo model's transcripts through the fleet, in batches, against faster-whisper alone",
        must="identical",
        seen=f"{same} of {len(names)} identical",
        holds=same == len(names),
    )


def _clips() -> tuple[list[Path], list[str]]:
    """Paths and texts of the short clips."""
    if SETS.exists():
        entries = json.loads(SETS.read_text())
        chosen = [name for name, entry in entries.items() if entry["kind"] != "joined"][::EVERY]
        return [SETS.parent / name for name in chosen], [normal(entries[name]["text"]) for name in chosen]
    entries = json.loads((DEMO / "clips" / "transcripts.json").read_text())
    chosen = [name for name, entry in entries.items() if "segments" not in entry]
    return [DEMO / "clips" / name for name in chosen], [normal(entries[name]["text"]) for name in chosen]


def _encoders() -> list[tuple[str, str]]:
    """As `WHISPER_ENCODER` and `WHISPER_ENCODER_PRECISION`; bf16 only where the processor multiplies it."""
    precisions = [*(["bf16"] if multiplies_bf16() else []), "f32", "int8"]
    return [REFERENCE, *(("openvino", precision) for precision in precisions)]
