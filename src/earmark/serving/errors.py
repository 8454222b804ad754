"""Refusals: each way in which a request cannot be answered, with its HTTP status and a code for programs.

The table `KINDS` is the whole list; the OpenAPI page is written from it.
"""

from dataclasses import dataclass
from http import HTTPStatus

from earmark.errors import AudioError, EarmarkError


class TooShort(AudioError):
    """The recording is shorter than what the model can judge."""


class TooLong(AudioError):
    """The recording is longer than the service accepts."""


class ChampionRefused(EarmarkError):
    """A new version failed its self-test."""


@dataclass(frozen=True)
class Kind:
    """One way of refusing: the HTTP status, and an example of the message."""

    status: HTTPStatus
    example: str


# Python 3.13 renamed two of HTTPStatus's members; the numbers stay.
_TOO_LARGE = HTTPStatus(413)
_UNPROCESSABLE = HTTPStatus(422)

KINDS: dict[str, Kind] = {
    "malformed": Kind(
        HTTPStatus.BAD_REQUEST, "The body is not a multipart form. Send the audio file as the form field `file`."
    ),
    "interrupted": Kind(HTTPStatus.BAD_REQUEST, "The upload ended before its end."),
    "unauthorized": Kind(
        HTTPStatus.UNAUTHORIZED, "This service asks for an API key. Send it as `Authorization: Bearer KEY`."
    ),
    "forbidden": Kind(HTTPStatus.FORBIDDEN, "Another host's page may not ask this service."),
    "not_found": Kind(HTTPStatus.NOT_FOUND, "There is nothing at /predcit. The page at / lists what there is."),
    "method_not_allowed": Kind(HTTPStatus.METHOD_NOT_ALLOWED, "GET does not work here. Send the file with POST."),
    "unknown_prediction": Kind(HTTPStatus.NOT_FOUND, "No prediction of the last 90 days has this id."),
    "unknown_task": Kind(HTTPStatus.NOT_FOUND, "No task or upload has this id. Results are kept for a day."),
    "unknown_event": Kind(HTTPStatus.NOT_FOUND, "No event with this id has come in."),
    "slow_upload": Kind(HTTPStatus.REQUEST_TIMEOUT, "The upload did not come in within 170 s. Send it again."),
    "outdated": Kind(
        HTTPStatus.CONFLICT, "That prediction was made by version 3; version 4 answers now. Send the recording again."
    ),
    "not_ready": Kind(HTTPStatus.CONFLICT, "The task is not done yet. GET /predict_long/status says how far it is."),
    "cancelled": Kind(HTTPStatus.CONFLICT, "The task was cancelled."),
    "no_network": Kind(HTTPStatus.CONFLICT, "The champion is a forest, and only what a network hears is explained."),
    "no_catalogue": Kind(HTTPStatus.CONFLICT, "The champion came without its catalogue, so nothing is near to it."),
    "too_large": Kind(_TOO_LARGE, "The upload is larger than the 50,000,000 bytes that are accepted."),
    "too_long": Kind(_TOO_LARGE, "The recording lasts longer than the 1200 s that are accepted. Send an excerpt."),
    "too_many_files": Kind(_TOO_LARGE, "The form has 40 files; 32 are accepted. Send several requests."),
    "not_audio": Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The file is not audio in any format that FFmpeg knows."),
    "unsupported": Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This kind of body is not accepted."),
    "missing_file": Kind(_UNPROCESSABLE, "The form has no field `file`; found: `song`. Rename the field to `file`."),
    "several_files": Kind(_UNPROCESSABLE, "The form has 2 fields `file`. Send one file a request."),
    "not_a_file": Kind(
        _UNPROCESSABLE, "The field `file` holds text. Addresses are never fetched; upload the audio itself."
    ),
    "invalid": Kind(_UNPROCESSABLE, "`count` is 0; it should be from 1 to 100."),
    "empty": Kind(_UNPROCESSABLE, "The file is empty (0 bytes)."),
    "cut_off": Kind(_UNPROCESSABLE, "The file ends in the middle of the recording. Upload it again in full."),
    "too_short": Kind(_UNPROCESSABLE, "The recording lasts 0.20 s; at least 1.00 s is needed."),
    "unreadable": Kind(_UNPROCESSABLE, "The audio cannot be decoded."),
    "busy": Kind(
        HTTPStatus.TOO_MANY_REQUESTS, "The service is working on as many requests as it can. Try again in a second."
    ),
    "rate_limited": Kind(HTTPStatus.TOO_MANY_REQUESTS, "More than 1200 requests a minute. Try again in 2 s."),
    "failed": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed on this request; its log says why."),
    "no_champion": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "There is no champion to answer. Train and promote one."),
    "overloaded": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "The service cannot take this up now. Try again in a second."),
    "timed_out": Kind(HTTPStatus.GATEWAY_TIMEOUT, "The request took longer than the service allows."),
}


class Refusal(EarmarkError):
    """A request that gets no answer.

    Attributes:
        code: A key of `KINDS`.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def message(self) -> str:
        """For the person who sent the request."""
        return str(self)

    @property
    def status(self) -> HTTPStatus:
        """The HTTP status to answer with."""
        return KINDS[self.code].status
