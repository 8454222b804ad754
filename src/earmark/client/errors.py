"""What a request ends in that gets no answer: one exception for each thing that a program may want to do about it."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from pydantic import ValidationError

from earmark.errors import EarmarkError
from earmark.serving.answers import ErrorAnswer


class ClientError(EarmarkError):
    """A request without an answer.

    Attributes:
        code: The service's word for it (`earmark.serving.errors`); ``unreachable``, ``timed_out`` or ``unknown`` where
            the service itself said nothing.
        message: For people: what was found, what is needed, what helps.
        request_id: Under which the service's log tells more; empty where there is none.
        status: The HTTP status; None where no answer came.
        retry_after_s: How long the service asks to wait; None where it does not say.
        unsent: Whether it is sure that the service never saw the request.
    """

    exit_code = 7

    def __init__(
        self,
        code: str,
        message: str,
        *,
        request_id: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        unsent: bool = False,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id
        self.status = status
        self.retry_after_s = retry_after_s
        self.unsent = unsent


class Refused(ClientError):
    """The request cannot be answered as it is (4xx): asking again changes nothing."""


class Busy(ClientError):
    """The service cannot answer now (429, 503), and could not for as long as `Retries` asked it again."""


class Failed(ClientError):
    """The service failed on this request (5xx)."""


class Unreachable(ClientError):
    """No connection, or it broke, as often as it was tried."""


class TimedOut(ClientError):
    """No answer within the client's own time."""


class Cancelled(ClientError):
    """The task was cancelled by somebody."""


def error_of(response: httpx.Response) -> ClientError:
    """The exception for an answer that is no success."""
    status = response.status_code
    request_id = response.headers.get("x-request-id", "")
    try:
        told = ErrorAnswer.model_validate_json(response.content).error
        code, message, request_id = told.code, told.message, told.request_id
    except ValidationError:  # what stands between may answer for the service, in HTML
        said = " ".join(response.text.split())[:200]
        code, message = (
            "unknown",
            f"{response.url} answers {status} {response.reason_phrase}, not as earmark does: {said}",
        )
    kind: type[ClientError] = Busy if status in (429, 503) else Failed if status >= 500 else Refused
    waits = _seconds(response.headers.get("retry-after", ""))
    return kind(code, message, request_id=request_id, status=status, retry_after_s=waits)


def trouble_of(error: httpx.HTTPError) -> ClientError:
    """The exception for a request to which no answer came."""
    asked = str(error.request.url) if getattr(error, "_request", None) else "The service"
    why = str(error) or type(error).__name__
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout | httpx.PoolTimeout):
        return TimedOut("timed_out", f"{asked} gave no answer in time ({why}). Give the client a longer timeout.")
    if isinstance(error, httpx.UnsupportedProtocol):
        return ClientError("unreachable", f"{asked} is no address of a service; one begins with http:// or https://.")
    unsent = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
    said = "cannot be reached" if unsent else "broke off"
    return Unreachable("unreachable", f"{asked} {said} ({why}). Does the service run there?", unsent=unsent)


def _seconds(retry_after: str) -> float | None:
    """What the header asks for: seconds, or a date (RFC 9110, 10.2.3)."""
    if retry_after.strip().isdigit():
        return float(retry_after)
    try:
        at = parsedate_to_datetime(retry_after)
    except (ValueError, TypeError):
        return None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return max(0.0, (at - datetime.now(UTC)).total_seconds())
