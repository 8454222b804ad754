"""What is said of long recordings, and of the tasks that listen to them: `/uploads`, `/predict_long`."""

from pydantic import BaseModel, Field

from earmark.serving.answers.recordings import AppealAnswer, GenreAnswer, ModelAnswer, MomentTag


class UploadAnswer(BaseModel):
    """An upload that waits for its task."""

    upload_id: str = Field(description="For `POST /predict_long/submit`, within the hour.")
    bytes: int = Field(ge=0)


class LongPart(BaseModel):
    """What is said of one piece."""

    start_s: float = Field(ge=0)
    end_s: float = Field(gt=0)
    genres: list[GenreAnswer] = Field(description="Most probable first; the first five.")
    genre_set: list[str]
    tags: list[MomentTag] = Field(description="Largest share first; the first eight.")
    appeal: AppealAnswer | None
    unlike: float | None
    warnings: list[str]


class TimeShare(BaseModel):
    """How much of the time has one genre as its most probable one."""

    genre: str
    share: float = Field(ge=0, le=1)


class LongAnswer(BaseModel):
    """What is said of a long recording, piece by piece."""

    parts: list[LongPart] = Field(description="In order of time.")
    genres: list[TimeShare] = Field(description="Largest share first.")
    model: ModelAnswer
    content_hash: str = Field(description="SHA-256 of the file, in hexadecimal.")
    duration_s: float = Field(gt=0)


class TaskProgress(BaseModel):
    """How far a task is."""

    done_s: float = Field(description="So much was listened to, in seconds of the recording.", ge=0)
    of_s: float | None = Field(description="Of so much; null where the file does not say.", ge=0)


class TaskStatus(BaseModel):
    """BentoML's state of a task, and how far it is."""

    task_id: str
    status: str = Field(description="in_progress, completed, failed or canceled.")
    created_at: str
    executed_at: str | None
    progress: TaskProgress | None
