"""The service's log: one JSON object a line, for programs; ``EARMARK_LOG=text`` writes lines for people at a terminal.

Each request leaves one line: when, which, how it ended, how long it took, how many bytes came in, and the name of the
API key, which is the operator's own word. No line holds audio, file names, values of a query, ids in paths, or an
address of who asked. A stack trace stands in the log only, under the request's id.
"""

import json
import logging
import os
import sys
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

# The id of the request that is being answered, in its tasks and threads; empty outside of one.
request_id: ContextVar[str] = ContextVar("earmark_request_id", default="")

_requests = logging.getLogger("bentoml.earmark.requests")

# BentoML gives these a handler each and lets some lines through twice; uvicorn.access would print addresses.
_WITH_HANDLERS = ("bentoml", "uvicorn.error", "circus")
_FIELDS = "earmark_fields"


@dataclass(frozen=True)
class RequestLine:
    """What is kept of one request.

    Attributes:
        path: A template such as ``/lineage/{prediction_id}``.
        code: A key of `earmark.serving.errors.KINDS`; None: answered.
        key: The name of the API key; None: it came without.
    """

    request_id: str
    method: str
    path: str
    status: int
    code: str | None
    duration_ms: float
    bytes_in: int
    key: str | None

    def write(self) -> None:
        """Into the log."""
        end = self.code or "answered"
        _requests.info(
            "%s %s %d %s", self.method, self.path, self.status, end, extra={_FIELDS: asdict(self)}, stacklevel=2
        )


class JsonLines(logging.Formatter):
    """One JSON object for each record, always on one line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := request_id.get():
            line["request_id"] = request
        line |= {name: value for name, value in getattr(record, _FIELDS, {}).items() if value is not None}
        if record.exc_info:
            line["stack"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextLines(logging.Formatter):
    """A line that reads at a glance; a stack trace stands below it."""

    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        # What came from outside cannot begin a line of its own.
        said = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in record.getMessage())
        line = f"{at} {record.levelname:<7} {said}"
        fields = getattr(record, _FIELDS, {})
        if "duration_ms" in fields:
            line += f"  {fields['duration_ms']:.0f} ms"
        if fields.get("key"):
            line += f"  key {fields['key']}"
        if request := request_id.get():
            line += f"  [{request}]"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


def configure_logs(style: str | None = None) -> None:
    """Let all that this process logs leave in one ``style``: ``json`` or ``text`` [default: EARMARK_LOG, else json].

    It gives BentoML's own handlers another format, so it belongs after BentoML has set them: where a worker makes its
    application. BentoML's access log is another matter, see `earmark.serving.door`.
    """
    style = style or os.environ.get("EARMARK_LOG", "json")
    formatter = TextLines() if style == "text" else JsonLines()
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in _WITH_HANDLERS)]
    # Plain ones only: pytest and others catch records with handlers of their own.
    plain = [handler for one in loggers for handler in one.handlers if type(handler) is logging.StreamHandler]
    if not plain:
        plain = [logging.StreamHandler(sys.stdout)]
        logging.getLogger("bentoml").addHandler(plain[0])
        logging.getLogger("bentoml").setLevel(logging.INFO)
    for handler in plain:
        handler.setFormatter(formatter)
    for one in loggers[1:]:
        if any(handler in plain for handler in one.handlers):
            one.propagate = False
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
