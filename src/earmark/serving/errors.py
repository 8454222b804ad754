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
    "not_found": Kind(HTTPStatus.NOT_FOUND, "There is nothing at /predcit. The page at / lists what there is."),
    "method_not_allowed": Kind(HTTPStatus.METHOD_NOT_ALLOWED, "GET does not work here. Send the file with POST."),
    "too_large": Kind(_TOO_LARGE, "The upload is larger than the 50,000,000 bytes that are accepted."),
    "too_long": Kind(_TOO_LARGE, "The recording lasts longer than the 1200 s that are accepted. Send an excerpt."),
    "not_audio": Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "The file is not audio in any format that FFmpeg knows."),
    "unsupported": Kind(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "This kind of body is not accepted."),
    "missing_file": Kind(_UNPROCESSABLE, "The form has no field `file`; found: `song`. Rename the field to `file`."),
    "several_files": Kind(_UNPROCESSABLE, "The form has 2 fields `file`. Send one file a request."),
    "not_a_file": Kind(
        _UNPROCESSABLE, "The field `file` holds text. Addresses are never fetched; upload the audio itself."
    ),
    "empty": Kind(_UNPROCESSABLE, "The file is empty (0 bytes)."),
    "cut_off": Kind(_UNPROCESSABLE, "The file ends in the middle of the recording. Upload it again in full."),
    "too_short": Kind(_UNPROCESSABLE, "The recording lasts 0.20 s; at least 1.00 s is needed."),
    "unreadable": Kind(_UNPROCESSABLE, "The audio cannot be decoded."),
    "busy": Kind(
        HTTPStatus.TOO_MANY_REQUESTS, "The service is working on as many requests as it can. Try again in a second."
    ),
    "failed": Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "The service failed on this request; its log says why."),
    "no_champion": Kind(HTTPStatus.SERVICE_UNAVAILABLE, "There is no champion to answer. Train and promote one."),
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
