"""What is told of the model, and the way back from an answer: `/model`, `/lineage`."""

from pydantic import BaseModel, ConfigDict, Field, JsonValue

MODEL_EXAMPLE: dict[str, JsonValue] = {
    "name": "earmark",
    "version": "3",
    "run_id": "6c4f0b5f0f0e4c6c8f7f0d5d5b6a7e21",
    "kind": "blend",
    "data_hash": "9a4e",
    "genres": ["hornpipe", "jig", "reel"],
    "tags": ["feeling---joyful_activation"],
    "accuracy": {"value": 0.79, "low": 0.71, "high": 0.86},
    "trained_on": {"collection": "songbook", "recordings": 284},
    "gates": [
        {"name": "gain", "passed": True, "found": "+0.03 [+0.00, +0.07]", "needed": "> 0", "why": "it is better"}
    ],
    "verdict": "It is better than version 2.",
    "in_service_since": "2026-01-14T20:15:31.000+00:00",
    "git_commit": "1f0c",
    "catalogue_songs": 360,
    "coverage": 0.9,
    "engine": "onnx",
    "canary": None,
    "shadow": None,
}


class Accuracy(BaseModel):
    """On the test tracks of its time, and the interval."""

    value: float
    low: float | None
    high: float | None


class TrainedOn(BaseModel):
    """What it has heard."""

    collection: str | None
    recordings: int = Field(description="How many it was fitted to and calibrated on.", ge=0)


class GateAnswer(BaseModel):
    """One of the conditions of its promotion."""

    name: str
    passed: bool
    found: str
    needed: str
    why: str


class CanaryAnswer(BaseModel):
    """A newcomer that answers a share of the requests."""

    version: str
    share: float = Field(ge=0, le=1)


class ModelCard(BaseModel):
    """The model that answers now, and what is known of it."""

    model_config = ConfigDict(json_schema_extra={"example": MODEL_EXAMPLE})

    name: str
    version: str
    run_id: str
    kind: str
    data_hash: str
    genres: list[str]
    tags: list[str]
    accuracy: Accuracy | None
    trained_on: TrainedOn
    gates: list[GateAnswer] = Field(description="Empty where it was promoted without, as the first one.")
    verdict: str | None
    in_service_since: str | None
    git_commit: str | None
    catalogue_songs: int | None = Field(description="How many `/similar` knows; null where they were not packed.")
    coverage: float | None
    engine: str = Field(description="What computes its networks on this machine; see docs/serving.md.")
    canary: CanaryAnswer | None
    shadow: str | None = Field(description="The version that listens, too, without answering.")


class PredictionCard(BaseModel):
    """An answer that was given."""

    prediction_id: str
    at: str
    content_hash: str
    duration_s: float
    genre: str
    probability: float
    role: str


class Versioned(BaseModel):
    """The model version that gave it."""

    name: str
    version: str
    run_id: str
    kind: str | None
    accuracy: Accuracy | None
    promoted_at: str | None
    promoted_because: str | None


class Code(BaseModel):
    """The code that trained it."""

    git_commit: str | None
    git_dirty: bool | None = Field(description="Whether files differed from that commit.")


class Data(BaseModel):
    """The data that it was trained on, by DVC's hashes."""

    collection: str | None
    collection_md5: str | None
    catalogue_md5: str | None
    splits_md5: str | None


class Lineage(BaseModel):
    """The way back from an answer."""

    prediction: PredictionCard
    model: Versioned
    code: Code
    data: Data
    flow_run: str | None = Field(description="Prefect's id of the flow run that trained it; null: by hand.")
    again: list[str] = Field(description="Commands that bring that code and that data back.")
