"""The one shape of every answer that is not a success."""

from pydantic import BaseModel, Field


class ErrorDetail(BaseModel):
    """Why there is no answer."""

    code: str = Field(description="A word for programs; it never changes its meaning.")
    message: str = Field(description="For people: what was found, what is needed, what helps.")
    request_id: str = Field(description="Also in the answer's x-request-id header and in the service's log.")


class ErrorAnswer(BaseModel):
    """The one shape of every answer that is not a success."""

    error: ErrorDetail
