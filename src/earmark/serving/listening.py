"""From one recording to what a predictor hears: the road of `earmark predict`, and limits that the service shares."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.params import Service
from earmark.serving.errors import TooLong, TooShort

if TYPE_CHECKING:
    from earmark.model.prediction import Prediction
    from earmark.model.predictor import Predictor


@dataclass(frozen=True)
class Heard:
    """A prediction, and how long the recording is that it was made from."""

    prediction: "Prediction"
    duration_s: float


def listen(source: Path | bytes, predictor: "Predictor", limits: Service) -> Heard:
    """Decode ``source`` and ask ``predictor``.

    Raises:
        AudioError: It is not audio, empty, cut off, or cannot be decoded; `TooShort`, `TooLong`: outside the limits.
        ModelError: The predictor cannot take it.
    """
    from earmark.audio.decode import decode

    # Decoding stops soon after the limit, so ten hours of silence in a small file cost no more than the limit does.
    recording = decode(
        source, sample_rate_hz=predictor.frontend.sample_rate_hz, mono=True, max_seconds=limits.max_seconds + 1.0
    )
    duration_s = recording.waveform.shape[-1] / recording.sample_rate_hz
    check_length(duration_s, predictor, limits)
    return Heard(predictor.predict(recording.waveform[0]), duration_s)


def check_length(duration_s: float, predictor: "Predictor", limits: Service) -> None:
    """Raise unless a recording is as long as it has to be.

    Raises:
        TooShort, TooLong: It is not.
    """
    if duration_s > limits.max_seconds:
        raise TooLong(
            f"The recording lasts longer than the {limits.max_seconds:g} s that are accepted "
            "(service.max_seconds in params.yaml). Send an excerpt, or raise the limit; the service takes long ones as "
            "tasks, by POST /uploads."
        )
    needed_s = max(limits.min_seconds, predictor.minimum_seconds)
    if duration_s < needed_s:
        raise TooShort(
            f"The recording lasts {duration_s:.2f} s; at least {needed_s:.2f} s are needed. "
            "Send a longer excerpt, or check that the file is not cut off."
        )
