"""params.yaml, read once into frozen dataclasses: one per section, each field with its unit in its name.

An unknown key, a missing key, a value of the wrong type or one that is impossible is a `ParamsError` that names it.
What a value may be, its type says: `Share` is a float from 0 to 1.
"""

import dataclasses
import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, cast

import yaml

from earmark.errors import ParamsError

Section = typing.TypeVar("Section")


@dataclass(frozen=True)
class Range:
    """From ``least`` to ``most``, or between them without these ``ends``; never infinite, and never no number."""

    least: float
    most: float = math.inf
    ends: bool = True

    def __contains__(self, value: float) -> bool:
        if self.ends:
            return self.least <= value <= self.most and value != math.inf
        return self.least < value < self.most

    def __str__(self) -> str:
        if self.most == math.inf:
            return f"{self.least} or more" if self.ends else f"more than {self.least}"
        return f"from {self.least} to {self.most}" if self.ends else f"more than {self.least} and less than {self.most}"


Seed = Annotated[int, Range(0, 2**32 - 1)]
Whole = Annotated[int, Range(0)]
Count = Annotated[int, Range(1)]
Amount = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, ends=False)]
Share = Annotated[float, Range(0, 1)]
Part = Annotated[float, Range(0, 1, ends=False)]  # neither nothing nor all


@dataclass(frozen=True)
class Catalogue:
    """Which collection the pipeline learns from."""

    collection: str


@dataclass(frozen=True)
class Songbook:
    """The embedded sample that every machine renders for itself."""

    seed: Seed
    pieces_per_style: Count
    clip_seconds: Positive


@dataclass(frozen=True)
class Listeners:
    """Made-up listeners whose taste is known: the demo's listening, and the proof of what is estimated from it."""

    seed: Seed
    listeners: Count
    days: Count
    plays_per_listener: Positive
    spotify_share: Share
    bots: Whole
    groups: Count
    categories: Count
    genre_link: Share
    group_taste: Amount
    own_taste: Amount
    quality: Amount
    exposure: Amount
    drift_per_year: Amount
    love_share: Share
    hate_share: Share


@dataclass(frozen=True)
class Validation:
    """What is fit to enter: the numbers that the rules of expectations.yaml refer to."""

    min_duration_s: Amount
    max_duration_s: Positive
    min_sample_rate_hz: Whole
    max_silent_share: Share
    max_clipped_share: Share
    min_bandwidth_share: Share
    demand_licence: bool
    min_tracks_per_genre: Whole
    min_groups_per_genre: Whole
    max_refused_share: Share


@dataclass(frozen=True)
class Feedback:
    """Which snapshot of feedback is in use, what may enter, and what is published."""

    snapshot: str
    earliest_year: Annotated[float, Range(1, 9999)]
    max_ahead_hours: Amount
    max_play_hours: Positive
    max_hours_per_day: Positive
    max_plays_per_hour: Count
    max_repeats_per_day: Count
    bot_days: Count
    min_listeners: Count
    retrain_share: Amount


@dataclass(frozen=True)
class Targets:
    """How much what listeners did says about a song; see `earmark.feedback.estimates.evidence`."""

    seed: Seed
    confidence: Part
    half_life_days: Amount
    chosen: Amount
    unknown: Amount
    continued: Amount
    skipped: Amount
    broken_off: Amount
    odds_heard: Amount
    odds_skipped: Amount
    odds_returned: Amount
    like_share: Part
    correct_exposure: bool
    segments: list[Literal["age", "gender", "country", "language"]]
    min_word_listeners: Count
    max_word_share: Share


@dataclass(frozen=True)
class Categories:
    """How songs are put into categories by who listens to them."""

    seed: Seed
    factors: Annotated[int, Range(1, 512)]
    regularisation: Positive
    iterations: Count
    count: Whole
    max_count: Annotated[int, Range(2)]
    min_listeners: Count
    min_confidence: Share
    redraws: Count


@dataclass(frozen=True)
class Tags:
    """What of the feedback the model learns besides the genre."""

    appeal: bool
    feelings: bool
    words: bool
    categories: bool
    min_ceiling: Share
    min_tracks: Count


@dataclass(frozen=True)
class Duplicates:
    """When two fingerprints are of one recording."""

    min_overlap_s: Amount
    min_agreement: Share


@dataclass(frozen=True)
class Split:
    """Shares of the groups, what is left is for training; ``official`` as in `earmark.catalogue.splits`."""

    seed: Seed
    validation_share: Part
    test_share: Part
    official: str


@dataclass(frozen=True)
class Frontend:
    """Waveform to log-mel spectrogram. ``n_fft`` and ``hop`` in samples; ``mels`` is a number of bands."""

    sample_rate_hz: Count
    n_fft: Count
    hop: Count
    mels: Count
    f_min_hz: Amount
    f_max_hz: Positive


@dataclass(frozen=True)
class Network:
    """The network's size (see `earmark.model.network.network.SIZES`), and how it listens."""

    size: Literal["tiny", "small", "large"]
    pooling: Literal["mean_max", "attention"]
    dropout: Share
    embedding: Literal["none", "listeners"]
    excerpt_seconds: Positive
    excerpts: Count


@dataclass(frozen=True)
class Training:
    """How the network is fitted."""

    seed: Seed
    epochs: Count
    patience: Whole
    batch_size: Count
    excerpts_per_epoch: Count
    balance: Share
    learning_rate: Positive
    warmup_share: Annotated[float, Range(0, 0.9)]  # something has to be left in which the rate falls
    gradient_clip: Amount
    averaging: Share
    weight_decay: Amount
    penalty: Amount
    penalty_p: Annotated[int, Range(1, 4)]
    label_smoothing: Share
    relabelling: Share
    tag_share: Share
    embedding_share: Share
    start_from: str
    precision: Literal["auto", "32", "bf16", "16"]
    compile: bool
    devices: Whole
    nodes: Count


@dataclass(frozen=True)
class Pretraining:
    """How the network learns to hear before it is taught anything; see `earmark.model.network.pretraining`."""

    seed: Seed
    epochs: Count
    batch_size: Annotated[int, Range(2)]
    learning_rate: Positive
    temperature: Positive
    projection: Count
    strength: Annotated[float, Range(0, 2)]


@dataclass(frozen=True)
class Between:
    """A number that `earmark tune` looks for from ``low`` to ``high``: of ``log``, by ratios instead of differences."""

    name: str
    low: float
    high: float
    log: bool


@dataclass(frozen=True)
class Among:
    """A value that `earmark tune` looks for among ``choices``."""

    name: str
    choices: list[bool | int | float | str]


@dataclass(frozen=True)
class Tuning:
    """A search for better values; ``space`` is checked by `earmark.model.tuning.search_space`, where it is used."""

    seed: Seed
    trials: Count
    folds: Annotated[int, Range(2)]
    repeats: Count
    space: list[Between | Among]


@dataclass(frozen=True)
class Augmentation:
    """What is changed at random about each training excerpt; 0, or false, turns a change off.

    params.yaml names every change, as it does every number. The defaults are for code that wants one change alone.
    """

    mixup_alpha: Annotated[float, Range(0, 4)] = 0.0  # of 4**alpha draws about one is taken; see `mixing`
    frequency_mask: Whole = 0
    time_mask: Whole = 0
    gain_db: Amount = 0.0
    equaliser_db: Amount = 0.0
    noise_share: Share = 0.0
    noise_snr_db: Annotated[float, Range(-40, 100)] = 10.0
    pitch_semitones: Annotated[float, Range(0, 12)] = 0.0
    tempo_share: Annotated[float, Range(0, 0.5)] = 0.0
    rotation: bool = False
    segment_mixing: Share = 0.0


@dataclass(frozen=True)
class Forest:
    """Trees on descriptors: the honest baseline."""

    seed: Seed
    kind: Literal["random_forest", "gradient_boosting"]
    trees: Count
    max_features: Literal["sqrt", "log2", "all"]
    min_samples_leaf: Count
    learning_rate: Positive
    features: Literal["all", "sure"] | Count


@dataclass(frozen=True)
class Machine:
    """Kernel machines on descriptors, and on what the encoder in the folder ``encoder`` hears."""

    seed: Seed
    encoder: str
    max_songs: Count


@dataclass(frozen=True)
class Calibration:
    """What the models learn about how sure they are, from songs that they were not fitted to."""

    folds: Whole
    repeats: Count
    coverage: Part
    by_class: bool
    least_accuracy: Share


@dataclass(frozen=True)
class Evaluation:
    """How sure a score is: a bootstrap over groups; and what the report lets people hear."""

    seed: Seed
    resamples: Count
    confidence: Part
    worst_errors: Whole = 10
    excerpt_seconds: Annotated[float, Range(0, 30)] = 6.0


@dataclass(frozen=True)
class Explanation:
    """How much is listened to in order to say what the network heeds; see `earmark.model.reasons.explaining`."""

    seed: Seed
    songs_per_class: Count
    excerpts: Count
    steps: Count
    randoms: Count


@dataclass(frozen=True)
class Gates:
    """What a challenger has to pass to be promoted; see `earmark.model.comparing.promotion`."""

    min_gain: Share
    equal_margin: Share
    cheaper: Part
    max_class_drop: Share
    class_drop_shown: bool
    max_ece: Share
    max_latency_ms: Positive
    max_size_mib: Positive
    max_looks: Count
    rounds: Count


@dataclass(frozen=True)
class Registry:
    """Names in MLflow."""

    model: str
    experiment: str


@dataclass(frozen=True)
class Service:
    """What the service accepts, from whom, and how it keeps itself current."""

    max_bytes: Count
    max_files: Count
    min_seconds: Amount
    max_seconds: Positive
    long_max_bytes: Count
    long_max_seconds: Positive
    upload_seconds: Positive
    decode_seconds: Positive
    follow_seconds: Positive
    compile: bool
    requests_per_minute: Whole
    cors_origins: list[str]
    keep_predictions_days: Amount


@dataclass(frozen=True)
class Rollout:
    """How a challenger is tried on live requests, and when it goes back."""

    shadow_share: Share
    steps: list[float]
    min_requests: Count
    max_error_share: Share
    max_latency_ratio: Positive
    max_disagreement: Share


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
    pretraining: Pretraining
    tuning: Tuning
    forest: Forest
    machine: Machine
    calibration: Calibration
    evaluation: Evaluation
    explanation: Explanation
    gates: Gates
    registry: Registry
    service: Service
    rollout: Rollout


def load_params(path: Path | str = "params.yaml") -> Params:
    """Read ``path``.

    Raises:
        ParamsError: The file is missing or not YAML, a key is unknown or missing, or a value cannot be.
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
    types = typing.get_type_hints(cls, include_extras=True)
    return cls(**{name: _value(types[name], values[name], where=f"{where}: {name}") for name in fields})


def _value(kind: Any, value: Any, *, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _build(cast(type[Any], kind), value, where=where)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        value, allowed = _value(arguments[0], value, where=where), arguments[1]
        if value not in allowed:
            raise ParamsError(f"{where} should be {allowed}, but is {value!r}.")
        return value
    if origin in (Union, UnionType):
        refused = []
        for alternative in arguments:
            try:
                return _value(alternative, value, where=where)
            except ParamsError as error:
                refused.append(str(error))
        raise ParamsError(" Or: ".join(refused))
    if origin is Literal:
        if value not in arguments:
            raise ParamsError(f"{where} should be one of {', '.join(arguments)}, but is {value!r}.")
        return value
    if origin is list:
        if not isinstance(value, list):
            raise ParamsError(f"{where} should be a list, but is {value!r}.")
        return [_value(arguments[0], each, where=f"{where}[{place}]") for place, each in enumerate(value)]
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ParamsError(f"{where} should be {kind.__name__}, but is {value!r} ({type(value).__name__}).")
    return value


def _names(cls: Any) -> str:
    return ", ".join(field.name for field in dataclasses.fields(cls))
