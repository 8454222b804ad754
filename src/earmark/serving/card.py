"""What the service tells of its model, and the way back from an answer: version → run → code and data → flow run.

All of it stands in the tags of the registered version, which travel with the champion, so that it can be told while the
registry is down.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

if TYPE_CHECKING:
    from earmark.serving.champion import Champion
    from earmark.serving.records import Predicted

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


def model_card(champion: "Champion", canary: "Champion | None", share: float, shadow: "Champion | None") -> ModelCard:
    """All that is known of the model in service."""
    predictor, tags = champion.predictor, champion.tags
    engine = getattr(predictor.network, "engine", None)
    return ModelCard(
        name=champion.name,
        version=champion.version,
        run_id=champion.run_id,
        kind=predictor.kind,
        data_hash=predictor.data_hash,
        genres=list(predictor.labels),
        tags=list(predictor.tags),
        accuracy=_accuracy(tags),
        trained_on=TrainedOn(collection=tags.get("data.collection"), recordings=len(predictor.trained_on)),
        gates=_gates(tags),
        verdict=tags.get("verdict.reason"),
        in_service_since=tags.get("promoted.at"),
        git_commit=tags.get("git.commit"),
        catalogue_songs=None if champion.neighbours is None else len(champion.neighbours),
        coverage=None if predictor.calibration is None else predictor.calibration.sets.coverage,
        engine=getattr(engine, "name", "none" if predictor.network is None else "eager"),
        canary=None if canary is None else CanaryAnswer(version=canary.version, share=share),
        shadow=None if shadow is None else shadow.version,
    )


def lineage_of(prediction: "Predicted", tags: Mapping[str, str]) -> Lineage:
    """The way back from ``prediction``, by the tags of the version that made it; empty where they are not known."""
    commit = tags.get("git.commit")
    again = [f"git checkout {commit}", "dvc checkout" if tags.get("data.collection") else "dvc pull", "dvc repro"]
    return Lineage(
        prediction=PredictionCard(
            prediction_id=prediction.prediction_id,
            at=datetime.fromtimestamp(prediction.at_us / 1e6, UTC).isoformat(timespec="milliseconds"),
            content_hash=prediction.content_hash,
            duration_s=prediction.duration_s,
            genre=prediction.genre,
            probability=prediction.probability,
            role=prediction.role,
        ),
        model=Versioned(
            name=prediction.model,
            version=prediction.version,
            run_id=prediction.run_id,
            kind=tags.get("kind"),
            accuracy=_accuracy(tags),
            promoted_at=tags.get("promoted.at"),
            promoted_because=tags.get("promoted.because") or None,
        ),
        code=Code(git_commit=commit, git_dirty=None if "git.dirty" not in tags else tags["git.dirty"] == "true"),
        data=Data(
            collection=tags.get("data.collection"),
            collection_md5=tags.get("data.collection_md5"),
            catalogue_md5=tags.get("data.catalogue_md5"),
            splits_md5=tags.get("data.splits_md5"),
        ),
        flow_run=tags.get("prefect.flow_run_id"),
        again=again if commit else [],
    )


def _accuracy(tags: Mapping[str, str]) -> Accuracy | None:
    value = _number(tags, "accuracy")
    if value is None:
        return None
    return Accuracy(value=value, low=_number(tags, "accuracy_low"), high=_number(tags, "accuracy_high"))


def _number(tags: Mapping[str, str], name: str) -> float | None:
    try:
        return float(tags[name])
    except (KeyError, ValueError):
        return None


def _gates(tags: Mapping[str, str]) -> list[GateAnswer]:
    try:
        told: list[dict[str, Any]] = json.loads(tags.get("verdict.gates", "[]"))
        return [
            GateAnswer(
                name=str(gate["name"]),
                passed=bool(gate["passed"]),
                found=str(gate["found"]),
                needed=str(gate["needed"]),
                why=str(gate["why"]),
            )
            for gate in told
        ]
    except (ValueError, KeyError, TypeError):
        return []
