"""params.yaml, read once into frozen dataclasses: one per section, each field with its unit in its name.

An unknown key, a missing key or a value of the wrong type is a `ParamsError` that names it.
"""

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import yaml

from earmark.errors import ParamsError

Section = typing.TypeVar("Section")


@dataclass(frozen=True)
class Catalogue:
    """Which collection the pipeline learns from."""

    collection: str


@dataclass(frozen=True)
class Songbook:
    """The embedded sample that every machine renders for itself."""

    seed: int
    pieces_per_style: int
    clip_seconds: float


@dataclass(frozen=True)
class Listeners:
    """Made-up listeners whose taste is known: the demo's listening, and the proof of what is estimated from it."""

    seed: int
    listeners: int
    days: int
    plays_per_listener: float
    spotify_share: float
    bots: int
    groups: int
    categories: int
    genre_link: float
    group_taste: float
    own_taste: float
    quality: float
    exposure: float
    drift_per_year: float
    love_share: float
    hate_share: float


@dataclass(frozen=True)
class Validation:
    """What is fit to enter: the numbers that the rules of expectations.yaml refer to."""

    min_duration_s: float
    max_duration_s: float
    min_sample_rate_hz: int
    max_silent_share: float
    max_clipped_share: float
    min_bandwidth_share: float
    demand_licence: bool
    min_tracks_per_genre: int
    min_groups_per_genre: int
    max_refused_share: float


@dataclass(frozen=True)
class Feedback:
    """Which snapshot of feedback is in use, what may enter, and what is published."""

    snapshot: str
    earliest_year: float
    max_ahead_hours: float
    max_play_hours: float
    max_hours_per_day: float
    max_plays_per_hour: int
    max_repeats_per_day: int
    bot_days: int
    min_listeners: int
    retrain_share: float


@dataclass(frozen=True)
class Targets:
    """How much what listeners did says about a song; see `earmark.feedback.estimates.evidence`."""

    seed: int
    confidence: float
    half_life_days: float
    chosen: float
    unknown: float
    continued: float
    skipped: float
    broken_off: float
    odds_heard: float
    odds_skipped: float
    odds_returned: float
    like_share: float
    correct_exposure: bool
    segments: list[str]
    min_word_listeners: int
    max_word_share: float


@dataclass(frozen=True)
class Categories:
    """How songs are put into categories by who listens to them."""

    seed: int
    factors: int
    regularisation: float
    iterations: int
    count: int
    max_count: int
    min_listeners: int
    min_confidence: float
    redraws: int


@dataclass(frozen=True)
class Tags:
    """What of the feedback the model learns besides the genre."""

    feelings: bool
    words: bool
    categories: bool
    min_ceiling: float
    min_tracks: int


@dataclass(frozen=True)
class Duplicates:
    """When two fingerprints are of one recording."""

    min_overlap_s: float
    min_agreement: float


@dataclass(frozen=True)
class Split:
    """Shares of the groups, what is left is for training; ``official`` as in `earmark.catalogue.splits`."""

    seed: int
    validation_share: float
    test_share: float
    official: str


@dataclass(frozen=True)
class Frontend:
    """Waveform to log-mel spectrogram. ``n_fft`` and ``hop`` in samples; ``mels`` is a number of bands."""

    sample_rate_hz: int
    n_fft: int
    hop: int
    mels: int
    f_min_hz: float
    f_max_hz: float


@dataclass(frozen=True)
class Network:
    """The convolutional network's size, and how it listens."""

    channels: int
    blocks: int
    dropout: float
    excerpt_seconds: float
    excerpts: int


@dataclass(frozen=True)
class Training:
    """How the network is fitted."""

    seed: int
    epochs: int
    batch_size: int
    excerpts_per_epoch: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    warmup_share: float
    tag_share: float
    averaging: float


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random about each training excerpt; 0 turns a change off."""

    mixup_alpha: float
    frequency_mask: int
    time_mask: int
    gain_db: float
    equaliser: float


@dataclass(frozen=True)
class Forest:
    """The random forest on descriptors: the honest baseline."""

    seed: int
    trees: int
    max_features: str
    min_samples_leaf: int


@dataclass(frozen=True)
class Evaluation:
    """How sure a score is: a bootstrap over groups."""

    seed: int
    resamples: int
    confidence: float


@dataclass(frozen=True)
class Registry:
    """Names in MLflow."""

    model: str
    experiment: str


@dataclass(frozen=True)
class Service:
    """What the service accepts, and how often it looks for a new champion."""

    max_bytes: int
    min_seconds: float
    max_seconds: float
    follow_seconds: float


@dataclass(frozen=True)
class Params:
    """All of params.yaml."""

    catalogue: Catalogue
    songbook: Songbook
    listeners: Listeners
    validation: Validation
    feedback: Feedback
    targets: Targets
    categories: Categories
    tags: Tags
    duplicates: Duplicates
    split: Split
    frontend: Frontend
    network: Network
    training: Training
    augmentation: Augmentation
    forest: Forest
    evaluation: Evaluation
    registry: Registry
    service: Service


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read ``path``.

    Raises:
        ParamsError: The file is missing or not YAML, a key is unknown or missing, or a value has the wrong type.
    """
    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"There is no {path}. Run this in the project's root, or name it with --root.") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    return _build(Params, content, where=str(path))


def to_dict(params: Any) -> dict[str, Any]:
    """The plain dictionary behind any of these dataclasses."""
    return dataclasses.asdict(params)


def flatten(params: Params) -> dict[str, Any]:
    """``{"training.epochs": 30, …}``: the form in which MLflow takes parameters."""
    return {f"{section}.{key}": value for section, values in to_dict(params).items() for key, value in values.items()}


def from_dict(cls: type[Section], values: Mapping[str, Any], *, where: str) -> Section:
    """Build one section from plain values, with the same checks as `load_params`."""
    return _build(cls, values, where=where)


def _build(cls: type[Section], values: Any, *, where: str) -> Section:
    if not isinstance(values, Mapping):
        raise ParamsError(f"{where} should be a mapping with the keys {_names(cls)}, but is {values!r}.")
    fields = [field.name for field in dataclasses.fields(cast(Any, cls))]
    if unknown := [str(key) for key in values if key not in fields]:
        raise ParamsError(f"{where}: unknown key {', '.join(unknown)}. Known here: {_names(cls)}.")
    if missing := [name for name in fields if name not in values]:
        raise ParamsError(f"{where}: missing key {', '.join(missing)}. Needed here: {_names(cls)}.")
    types = typing.get_type_hints(cls)
    return cls(**{name: _value(types[name], values[name], where=f"{where}: {name}") for name in fields})


def _value(kind: Any, value: Any, *, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(cast(type[Any], kind), value, where=where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if typing.get_origin(kind) is list:
        (item,) = typing.get_args(kind)
        if not isinstance(value, list) or not all(isinstance(each, item) for each in value):
            raise ParamsError(f"{where} should be a list of {item.__name__}, but is {value!r}.")
        return value
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ParamsError(f"{where} should be {kind.__name__}, but is {value!r} ({type(value).__name__}).")
    return value


def _names(cls: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(cls))
