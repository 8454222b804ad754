"""What the service answers, typed once: the OpenAPI page, the service and its clients read the same shapes."""

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from earmark.model.prediction import Prediction

EXAMPLE: dict[str, JsonValue] = {
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
    "appeal": {"share": 0.55, "low": 0.41, "high": 0.68},
    "unlike": 0.36,
    "warnings": [],
    "model": {"name": "earmark", "version": "3", "run_id": "6c4f0b5f0f0e4c6c8f7f0d5d5b6a7e21"},
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


class ModelAnswer(BaseModel):
    """The model version that computed this very answer: the way back to its run, its data and its code."""

    name: str = Field(description="The registered model's name.")
    version: str = Field(description="The registered model's version.")
    run_id: str = Field(description="The MLflow run that trained it; empty where it is not known.")


class Answer(BaseModel):
    """What the champion hears in one recording."""

    model_config = ConfigDict(json_schema_extra={"example": EXAMPLE})

    genres: list[GenreAnswer] = Field(description="Most probable first.")
    genre_set: list[str] = Field(
        description="The genres among which the right one is found as often as `coverage` says; empty where the model "
        "does not know how sure it is."
    )
    coverage: float | None = Field(description="Of the set and of all intervals.", ge=0, le=1)
    abstains: bool = Field(description="Whether the model is less sure than it has to be for an answer.")
    tags: list[TagAnswer] = Field(description="Largest share first; empty where the model was taught no tags.")
    appeal: ShareAnswer | None = Field(description="The share of listeners that will like it; null where not taught.")
    unlike: float | None = Field(
        description="How rarely a recording lies so far from everything in training, as a p-value.", ge=0, le=1
    )
    warnings: list[str] = Field(description="What to mind, as sentences.")
    model: ModelAnswer
    duration_s: float = Field(description="Length of the recording, in seconds.", gt=0)
    heard_seconds: float = Field(description="How much of it the model listened to, in seconds.", gt=0)


def answer_of(prediction: Prediction, model: ModelAnswer, *, duration_s: float) -> Answer:
    """All that a prediction says, and which model says it."""
    return Answer.model_validate({**prediction.to_dict(), "model": model, "duration_s": duration_s})


class ErrorDetail(BaseModel):
    """Why there is no answer."""

    code: str = Field(description="A word for programs; it never changes its meaning.")
    message: str = Field(description="For people: what was found, what is needed, what helps.")
    request_id: str = Field(description="Also in the answer's x-request-id header and in the service's log.")


class ErrorAnswer(BaseModel):
    """The one shape of every answer that is not a success."""

    error: ErrorDetail
