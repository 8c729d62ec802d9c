"""Which configuration to recommend."""

from collections.abc import Sequence

from worker.calibrate.measuring import Measured
from worker.calibrate.recordings import Recording

#: The least share of words that must agree with the first configuration's. Where every recording has a reference: by how much the
#: word error rate may be higher instead.
LEAST_AGREEMENT, MOST_MORE_ERRORS = 0.98, 0.003
#: What gains less than this over the first configuration is not worth a change.
LEAST_SPEEDUP = 1.2
#: With fewer words than this, one word more or less changes the verdict.
FEW_WORDS = 300
#: Of two configurations that are so close, the one that changes less is recommended.
CLOSE = 1.1


def is_accurate(one: Measured, first: Measured, recordings: Sequence[Recording]) -> bool:
    """Whether a configuration hears as well as the first one."""
    if all(recording.reference is not None for recording in recordings):
        return one.against_references(recordings).rate <= first.against_references(recordings).rate + MOST_MORE_ERRORS
    return one.against(first).agreement >= LEAST_AGREEMENT


def recommended(measured: Sequence[Measured], recordings: Sequence[Recording]) -> Measured:
    """The fastest configuration that hears as well as the first one; the first one, if nothing is much faster.

    Configurations that change less come first.
    """
    first = measured[0]
    accurate = [one for one in measured if is_accurate(one, first, recordings)]
    fastest = min(one.seconds for one in accurate)
    # The order of windows counts more than that of encoders: an encoder changes the numbers a little, a window what is encoded.
    windows = list(dict.fromkeys(one.configuration.window for one in measured))
    by_window = sorted(accurate, key=lambda one: (windows.index(one.configuration.window), one.seconds))
    chosen = next(one for one in by_window if one.seconds <= CLOSE * fastest)
    return chosen if first.seconds >= LEAST_SPEEDUP * chosen.seconds else first


def advice(measured: Sequence[Measured], recordings: Sequence[Recording]) -> list[str]:
    """What to set and why, and what is wrong with faster configurations, as short lines."""
    first, chosen = measured[0], recommended(measured, recordings)
    used = chosen.configuration
    lines = ["Recommended:", f"  WHISPER_ENCODER={used.encoder}", f"  WHISPER_ENCODER_WINDOW={used.window}"]
    if used.encoder == "openvino":
        lines.insert(2, f"  WHISPER_ENCODER_PRECISION={used.precision.partition('_')[0]}")
    if chosen is first:
        lines.append(f"Nothing that hears as well is {LEAST_SPEEDUP} times as fast.")
    else:
        agreement = 100 * chosen.against(first).agreement
        lines.append(f"{first.seconds / chosen.seconds:.1f} times as fast; {agreement:.1f} % of the words agree.")
    refused = [one for one in measured if one.seconds < chosen.seconds and not is_accurate(one, first, recordings)]
    lines += [f"Faster, but not as accurate: {one.configuration.encoder}, {one.configuration.window}." for one in refused]
    if (words := first.against(first).words) < FEW_WORDS:
        lines.append(f"Only {words} words were compared: more audio gives a better answer.")
    return lines
