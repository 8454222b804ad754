"""What the service tells of its model, and the way back from an answer: version → run → code and data → flow run.

All of it stands in the tags of the registered version, which travel with the champion, so that it can be told while the
registry is down.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from earmark.serving.answers import (
    Accuracy,
    CanaryAnswer,
    Code,
    Data,
    GateAnswer,
    Lineage,
    ModelCard,
    PredictionCard,
    TrainedOn,
    Versioned,
)

if TYPE_CHECKING:
    from earmark.serving.champion import Champion
    from earmark.serving.records import Predicted


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
