"""What is said of recordings: `/predict`, `/predict_batch`, `/explain`, `/similar`, `/examples`."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from earmark.serving.answers.errors import ErrorDetail

EXAMPLE: dict[str, JsonValue] = {
    "prediction_id": "3f0c9a52d1c94c0d8a53b9f06c1f4f0e",
    "genres": [
        {"genre": "reel", "probability": 0.81},
        {"genre": "hornpipe", "probability": 0.13},
        {"genre": "jig", "probability": 0.06},
    ],
    "genre_set": ["reel", "hornpipe"],
    "coverage": 0.9,
    "abstains": False,
    "tags": [
        {"tag": "feeling---joyful_activation", "share": 0.42, "low": 0.21, "high": 0.63},
        {"tag": "category---dance · sing along · reel", "share": 0.37, "low": 0.05, "high": 0.69},
    ],
    "appeal": {"share": 0.55, "low": 0.41, "high": 0.68, "rank": 0.72, "rank_low": 0.31, "rank_high": 0.95, "of": 360},
    "moments": [
        {
            "start_s": 0.0,
            "end_s": 4.096,
            "genres": [{"genre": "reel", "probability": 0.74}, {"genre": "hornpipe", "probability": 0.2}],
            "tags": [{"tag": "feeling---joyful_activation", "share": 0.45}],
        }
    ],
    "facts": {
        "tempo": {"bpm": 112.4, "confidence": 0.83},
        "key": {"tonic": "D", "mode": "major", "confidence": 0.71},
        "loudness": {"lufs": -16.2, "confidence": 0.98},
    },
    "unlike": 0.36,
    "warnings": [],
    "model": {
        "name": "earmark",
        "version": "3",
        "run_id": "6c4f0b5f0f0e4c6c8f7f0d5d5b6a7e21",
        "kind": "blend",
        "data_hash": "9a4e",
        "role": "champion",
    },
    "content_hash": "0f343b0931126a20f133d67c2b018a3b5e3a1f3e3f0a4ff1b9a6d2e6d0a1c3d7",
    "duration_s": 214.6,
    "heard_seconds": 32.768,
}


class GenreAnswer(BaseModel):
    """One genre and how probable the model holds it to be."""

    genre: str = Field(description="One of the labels that the model was trained on.")
    probability: float = Field(description="Between 0 and 1; the probabilities of one answer add up to 1.", ge=0, le=1)


class ShareAnswer(BaseModel):
    """A share of listeners, and the interval in which it lies as often as `coverage` says."""

    share: float = Field(description="Between 0 and 1.", ge=0, le=1)
    low: float | None = Field(None, description="Null where the model does not know how sure it is.", ge=0, le=1)
    high: float | None = Field(None, description="As `low`.", ge=0, le=1)


class TagAnswer(ShareAnswer):
    """One tag out of listeners' feedback, and the share of listeners that would give it."""

    tag: str = Field(description="feeling---NAME, word---NAME or category---NAME.")


class AppealAnswer(ShareAnswer):
    """The share of listeners that will like it, and where that places it among the catalogue's songs."""

    rank: float | None = Field(
        None, description="Share of the catalogue's songs that the same model expects less liking for.", ge=0, le=1
    )
    rank_low: float | None = Field(None, description="The same for `low`.", ge=0, le=1)
    rank_high: float | None = Field(None, description="The same for `high`.", ge=0, le=1)
    of: int | None = Field(None, description="How many songs the catalogue has; null where it is not known.", ge=0)


class MomentTag(BaseModel):
    """A tag at one moment; without an interval, which is known of whole songs alone."""

    tag: str
    share: float = Field(ge=0, le=1)


class MomentAnswer(BaseModel):
    """What the network hears in one excerpt, by itself and before calibration."""

    start_s: float = Field(description="From the recording's start, in seconds.", ge=0)
    end_s: float = Field(description="As `start_s`.", gt=0)
    genres: list[GenreAnswer] = Field(description="Most probable first.")
    tags: list[MomentTag] = Field(description="Largest share first.")


class TempoAnswer(BaseModel):
    """Beats a minute."""

    bpm: float = Field(gt=0)
    confidence: float = Field(
        description="How often such a tempo is right, to 4 % and but for a factor of 2 or 3.", ge=0, le=1
    )


class KeyAnswer(BaseModel):
    """The key."""

    tonic: str = Field(description="C, C♯, D, E♭, E, F, F♯, G, A♭, A, B♭ or B.")
    mode: Literal["major", "minor"]
    confidence: float = Field(description="How often such a key is right.", ge=0, le=1)


class LoudnessAnswer(BaseModel):
    """Integrated loudness by EBU R 128."""

    lufs: float
    confidence: float = Field(description="How often such a loudness is right, to 1 LU.", ge=0, le=1)


class FactsAnswer(BaseModel):
    """What is measured, not learnt; null where it cannot be told, as the key of a drum."""

    tempo: TempoAnswer | None
    key: KeyAnswer | None
    loudness: LoudnessAnswer | None


class ModelAnswer(BaseModel):
    """The model version that computed this very answer: the way back to its run, its data and its code."""

    name: str = Field(description="The registered model's name.")
    version: str = Field(description="The registered model's version.")
    run_id: str = Field(description="The MLflow run that trained it; empty where it is not known.")
    kind: str = Field(description="network, forest, machine or blend.")
    data_hash: str = Field(description="Names the data that it was trained on.")
    role: Literal["champion", "canary"] = Field(description="canary: a newcomer, tried on some of the requests.")


class Answer(BaseModel):
    """All that is said of one recording."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    prediction_id: str = Field(description="Names this answer: `GET /lineage/{prediction_id}` tells the way back.")
    genres: list[GenreAnswer] = Field(description="Most probable first.")
    genre_set: list[str] = Field(
        description="The genres among which the right one is found as often as `coverage` says; empty where the model "
        "does not know how sure it is."
    )
    coverage: float | None = Field(description="Of the set and of all intervals.", ge=0, le=1)
    abstains: bool = Field(description="Whether the model is less sure than it has to be for an answer.")
    tags: list[TagAnswer] = Field(description="Largest share first; empty where the model was taught no tags.")
    appeal: AppealAnswer | None = Field(description="The share of listeners that will like it; null where not taught.")
    moments: list[MomentAnswer] = Field(description="In order of time; empty where the model has no network.")
    facts: FactsAnswer
    unlike: float | None = Field(
        description="How rarely a recording lies so far from everything in training, as a p-value.", ge=0, le=1
    )
    warnings: list[str] = Field(description="What to mind, as sentences.")
    model: ModelAnswer
    content_hash: str = Field(description="SHA-256 of the file, in hexadecimal.")
    duration_s: float = Field(description="Length of the recording, in seconds.", gt=0)
    heard_seconds: float = Field(description="How much of it the model listened to, in seconds.", gt=0)


class BatchItem(BaseModel):
    """One file of a batch: either its answer or why there is none."""

    index: int = Field(description="Its place among the files that were sent, from 0.", ge=0)
    name: str = Field(description="As it was sent.")
    answer: Answer | None
    error: ErrorDetail | None


class BatchAnswer(BaseModel):
    """An answer for each file, in the order in which they were sent."""

    items: list[BatchItem]


class BandAnswer(BaseModel):
    """What one frequency band adds to the log odds."""

    hz: float = Field(description="Its centre.", gt=0)
    nats: float


class MomentReason(BaseModel):
    """What one moment adds to the log odds."""

    start_s: float = Field(ge=0)
    end_s: float = Field(gt=0)
    nats_per_s: float = Field(description="Per second of music heard; 0 where none was heard.")
    heard: float = Field(description="Share of the moment that the network heard.", ge=0, le=1)


class ExplainAnswer(BaseModel):
    """What in the recording speaks for a genre (positive) and against it (negative), as the network hears it."""

    genre: str
    rather_than: str | None = Field(description="What it is held against; null: all others together.")
    bands: list[BandAnswer] = Field(description="Low to high.")
    moments: list[MomentReason] = Field(description="In order of time.")
    difference: float = Field(description="Log odds of the genre here, less those in silence, in nats.")
    gap: float = Field(description="How far the parts miss the whole: the method's own error, in nats.")
    model: ModelAnswer


class SimilarSong(BaseModel):
    """A song of the catalogue, how alike it is, and what listeners did with it."""

    track_id: str
    title: str | None
    artist: str | None
    genre: str | None
    similarity: float = Field(description="Cosine between the embeddings: 1 alike, 0 nothing in common.", ge=-1, le=1)
    listeners: int | None = Field(description="How many were asked or listened; null where none or too few.", ge=0)
    liked: ShareAnswer | None = Field(description="The share of listeners that like it; null where it is not known.")
    tags: list[MomentTag] = Field(description="What listeners felt and called it; largest share first.")


class SimilarAnswer(BaseModel):
    """The catalogue's songs that lie nearest."""

    songs: list[SimilarSong] = Field(description="Nearest first.")
    of: int = Field(description="How many songs the catalogue has.", ge=0)
    model: ModelAnswer


class ExampleAnswer(BaseModel):
    """A song to try."""

    name: str = Field(description="`GET /examples/{name}` has its sound.")
    title: str | None
    artist: str | None
    genre: str | None
    seconds: float = Field(gt=0)
    licence: str
