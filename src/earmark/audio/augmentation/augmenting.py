"""All changes that params.yaml turns on, in the order in which they would come about."""

from typing import TypeVar

import torch
from torch import Generator, Tensor

from earmark.audio.augmentation.level import equaliser, gain
from earmark.audio.augmentation.masking import mask
from earmark.audio.augmentation.mixing import segment_mixing
from earmark.audio.augmentation.noise import noise
from earmark.audio.augmentation.pitch import pitch
from earmark.audio.augmentation.power import to_log_mel, to_power
from earmark.audio.augmentation.timing import rotation, tempo
from earmark.errors import ParamsError
from earmark.params import Augmentation, Frontend

Needed = TypeVar("Needed")


def augment(
    excerpts: Tensor,
    how: Augmentation,
    generator: Generator,
    labels: Tensor | None = None,
    frontend: Frontend | None = None,
) -> Tensor:
    """All the changes that ``how`` turns on but mixup, which changes targets too.

    First what is played changes (pitch, tempo, where it begins), then how it is recorded (filter, level, noise), then
    recordings are cut together, and last some is hidden.

    Args:
        excerpts: Log-mels, shape ``(batch, mels, frames)``.
        how: Section ``augmentation`` of params.yaml. Where nothing is on, the very same tensor is returned.
        generator: Source of chance, on the processor or on the excerpts' device.
        labels: Shape ``(batch,)``; needed by segment mixing alone.
        frontend: By which the log-mels were made; needed by pitch and noise alone.

    Returns:
        Excerpts of the same shape, type and device.

    Raises:
        ParamsError: What a change needs was not given.
    """
    given = excerpts
    excerpts = start = given.to(torch.promote_types(given.dtype, torch.float32))  # power overflows half precision
    if how.pitch_semitones:
        excerpts = pitch(excerpts, how.pitch_semitones, _given(frontend, "pitch_semitones", "the front-end"), generator)
    if how.tempo_share:
        excerpts = tempo(excerpts, how.tempo_share, generator)
    if how.rotation:
        excerpts = rotation(excerpts, generator)
    if how.gain_db or how.equaliser_db or how.noise_share:
        power = equaliser(gain(to_power(excerpts), how.gain_db, generator), how.equaliser_db, generator)
        if how.noise_share:
            made_by = _given(frontend, "noise_share", "the front-end")
            power = noise(power, how.noise_share, how.noise_snr_db, made_by, generator)
        excerpts = to_log_mel(power)
    if how.segment_mixing:
        labels = _given(labels, "segment_mixing", "the labels")
        excerpts = segment_mixing(excerpts, labels, how.segment_mixing, generator)
    excerpts = mask(excerpts, how.frequency_mask, generator, dim=1)
    excerpts = mask(excerpts, how.time_mask, generator, dim=2)
    return given if excerpts is start else excerpts.to(given.dtype)


def _given(value: Needed | None, name: str, what: str) -> Needed:
    if value is None:
        raise ParamsError(
            f"augmentation: {name} is on and needs {what} of the excerpts, but this training does not hand them over. "
            f"Set {name} to 0, or call augment with them."
        )
    return value
