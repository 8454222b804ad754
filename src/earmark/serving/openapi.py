"""Makes BentoML's OpenAPI page say what is true: every path, every answer and refusal with an example, nothing else.

BentoML describes the endpoints that were declared to it; its guesses at answers and errors are replaced, and what the
site answers by itself (`earmark.serving.site`) is added.
"""

import inspect
from collections import defaultdict
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import yaml
from pydantic import BaseModel

from earmark.serving.answers import (
    Answer,
    BatchAnswer,
    ErrorAnswer,
    EventAnswer,
    ExampleAnswer,
    ExplainAnswer,
    FeedbackAnswer,
    Lineage,
    LongAnswer,
    ModelCard,
    SimilarAnswer,
    TaskStatus,
    UploadAnswer,
)
from earmark.serving.errors import KINDS
from earmark.serving.telling import EVENT_ID, EventRequest, FeedbackRequest
from earmark.serving.upload import MOST_CHARACTERS, LongBody

_REF = "#/components/schemas/{model}"
_ID = "^[0-9a-f]{32}$"  # of a prediction, an upload, a task
_JSON = "application/json"
# BentoML describes its own errors, which this service does not answer with, and renames what it does.
_NOT_OURS = ("InvalidArgument", "NotFound", "InternalServerError", "TaskStatusResponse")
_ANSWERS: tuple[type[BaseModel], ...] = (
    Answer,
    BatchAnswer,
    ExplainAnswer,
    SimilarAnswer,
    FeedbackRequest,
    FeedbackAnswer,
    EventRequest,
    LongBody,
    EventAnswer,
    ExampleAnswer,
    LongAnswer,
    UploadAnswer,
    TaskStatus,
    ModelCard,
    Lineage,
    ErrorAnswer,
)

_LATER = (429, 503)  # say when to come back
_ANSWER_TO: dict[str, type[BaseModel]] = {
    "/predict": Answer,
    "/predict_batch": BatchAnswer,
    "/explain": ExplainAnswer,
    "/similar": SimilarAnswer,
    "/feedback": FeedbackAnswer,
    "/predict_long": LongAnswer,
}
# Which refusals each kind of request may meet; a wrong path or method is none of a route's own.
_ANY = ("unauthorized", "rate_limited", "malformed", "forbidden", "overloaded", "failed")
_BODY = ("interrupted", "too_large", "slow_upload", "busy", "timed_out")
_FORM = (*_BODY, "unsupported", "missing_file", "not_a_file", "several_files", "too_many_files", "invalid")
_SONG = (*_FORM, "no_champion", "not_audio", "empty", "cut_off", "too_short", "too_long", "unreadable")
_CODES: dict[str, tuple[str, ...]] = {
    "/predict": _SONG,
    "/predict_batch": (*_FORM, "no_champion"),
    "/explain": (*_SONG, "no_network"),
    "/similar": (*_SONG, "outdated", "unknown_prediction", "no_catalogue"),
    "/feedback": (*_BODY, "invalid"),
    "/uploads": (*_BODY, "empty"),
    "/predict_long": (*_SONG, "unknown_task", "cancelled"),
    "/predict_long/submit": (*_BODY, "invalid", "unknown_task"),
    "/predict_long/retry": (*_BODY, "invalid", "unknown_task", "not_ready"),
    "/predict_long/status": ("invalid", "unknown_task"),
    "/predict_long/get": (*_SONG, "invalid", "unknown_task", "not_ready", "cancelled"),
    "/predict_long/cancel": ("invalid", "unknown_task"),
    "/model": ("no_champion",),
    "/lineage/{prediction_id}": ("unknown_prediction",),
    "/feedback/{event_id}": ("unknown_event",),
    "/examples": ("no_champion",),
    "/examples/{name}": ("no_champion", "not_found"),
    "/": (),
    "/api": (),
    "/docs.json": (),
    "/metrics": (),
    "/healthz": (),
    "/livez": (),
    "/readyz": ("no_champion",),
}


class Specification(dict[str, Any]):
    """An OpenAPI document, as BentoML takes one: its own classes know but a part of JSON Schema."""

    def asdict(self) -> dict[str, Any]:
        """Itself, for `/docs.json`."""
        return dict(self)


# `bentoml build` writes it into the bento.
yaml.add_representer(Specification, lambda dumper, spec: dumper.represent_dict(dict(spec)))


def complete(spec: dict[str, Any], *, title: str, description: str) -> Specification:
    """BentoML's document with the service's own answers and errors in place of its guesses."""
    ours = {name: schema for model in _ANSWERS for name, schema in _schemas(model).items()}
    given = {
        name: schema
        for name, schema in spec["components"]["schemas"].items()
        if name not in _NOT_OURS and not name.endswith("IODescriptor")
    }
    paths: dict[str, dict[str, Any]] = {}
    for path, item in spec["paths"].items():
        if path in _CODES and "post" in item and not path.startswith("/predict_long/"):
            paths[path] = {"post": _declared(path, item["post"])}
    paths |= _own()
    if "/explain" in paths:
        told = paths["/explain"]["post"]
        told["parameters"].append(
            {**_query("format", "`png` for a picture.", enum=["json", "png"]), "required": False},
        )
        told["responses"]["200"]["content"]["image/png"] = {"schema": _BINARY}
    if "/similar" in paths:
        form = paths["/similar"]["post"]["requestBody"]["content"][_FORM_DATA]["schema"]
        form["oneOf"] = [{"required": ["file"]}, {"required": ["prediction_id"]}]
    info = {"title": title, "description": description, "version": _version()}
    security = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "Where the service asks for keys."},
        "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key, otherwise."},
    }
    components = {"schemas": given | ours, "securitySchemes": security}
    return Specification(openapi="3.1.0", info=info, servers=[{"url": "."}], paths=paths, components=components)


def _declared(path: str, post: dict[str, Any]) -> dict[str, Any]:
    """BentoML's description of an endpoint, with our answers."""
    first, _, rest = inspect.cleandoc(post.get("description") or "").partition("\n\n")
    told = {name: value for name, value in post.items() if name not in ("responses", "x-bentoml-name")}
    told |= {
        "summary": first,
        "description": rest,
        "security": _SECURITY,
        "responses": _responses(path, _ANSWER_TO[path]),
    }
    if path == "/feedback":
        told["requestBody"] = _json_body(FeedbackRequest)
    elif path == "/predict_long":
        told["requestBody"] = _upload_id()
    else:
        told["requestBody"] = _form_body(post["requestBody"]["content"][_FORM_DATA]["schema"])
        told["parameters"] = [_STICKY]
    return told


def _form_body(schema: dict[str, Any]) -> dict[str, Any]:
    """A form as it is: BentoML would have text fields as JSON, and nulls, which no form can hold."""
    properties = {
        name: {key: value for key, value in told.items() if (key, value) != ("default", None)}
        for name, told in schema["properties"].items()
    }
    for told in properties.values():
        if told["type"] == "array":
            told["minItems"] = 1
        elif told["type"] == "string" and "format" not in told:
            told["maxLength"] = MOST_CHARACTERS
    if "prediction_id" in properties:
        properties["prediction_id"]["pattern"] = _ID
    return {"required": True, "content": {_FORM_DATA: {"schema": {**schema, "properties": properties}}}}


def _upload_id() -> dict[str, Any]:
    return _json_body(LongBody, {"upload_id": "0" * 32})


_BINARY = {"type": "string", "format": "binary"}
_FORM_DATA = "multipart/form-data"
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}, {"key": []}]
_STICKY = {
    "name": "X-Earmark-Key",
    "in": "header",
    "required": False,
    "description": "While two versions answer, all requests with the same one here are answered by the same version.",
    "schema": {"type": "string"},
}
_REQUEST_ID = {"X-Request-Id": {"description": "Also in the service's log.", "schema": {"type": "string"}}}
_RETRY_AFTER = {
    "Retry-After": {"description": "In seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}
}


def _own() -> dict[str, dict[str, Any]]:
    """What the site answers: path → method → operation."""
    task = _query("task_id", "As `POST /predict_long/submit` answered it.", pattern=_ID)
    submitted = {
        "type": "object",
        "required": ["task_id", "status"],
        "properties": {"task_id": {"type": "string"}, "status": {"type": "string"}},
    }
    raw = {
        "required": True,
        "content": {"application/octet-stream": {"schema": _BINARY}},
    }
    return {
        "/uploads": {"post": _operation("/uploads", "Take in a long recording, as the body.", UploadAnswer, body=raw)},
        "/predict_long/submit": {
            "post": _operation(
                "/predict_long/submit", "Have a long recording listened to, as a task.", submitted, body=_upload_id()
            )
        },
        "/predict_long/status": {
            "get": _operation("/predict_long/status", "Say how far a task is.", TaskStatus, parameters=[task])
        },
        "/predict_long/get": {
            "get": _operation("/predict_long/get", "Give a task's answer.", LongAnswer, parameters=[task])
        },
        "/predict_long/cancel": {
            "put": _operation("/predict_long/cancel", "End a task.", submitted, parameters=[task])
        },
        "/predict_long/retry": {
            "post": _operation("/predict_long/retry", "Do a task that failed once more.", submitted, parameters=[task])
        },
        "/model": {"get": _operation("/model", "Say which model answers, and what is known of it.", ModelCard)},
        "/lineage/{prediction_id}": {
            "get": _operation(
                "/lineage/{prediction_id}",
                "Tell the way back from an answer to the model, the code and the data.",
                Lineage,
                parameters=[_path("prediction_id", "Of an answer.", _ID)],
            )
        },
        "/feedback/{event_id}": {
            "get": _operation(
                "/feedback/{event_id}",
                "Say what became of an event.",
                EventAnswer,
                parameters=[_path("event_id", "As it was sent.", EVENT_ID)],
            )
        },
        "/examples": {
            "get": _operation(
                "/examples",
                "List songs to try, which may be passed on.",
                {"type": "array", "items": {"$ref": _REF.format(model="ExampleAnswer")}},
            )
        },
        "/examples/{name}": {
            "get": _operation(
                "/examples/{name}",
                "Give one of these songs.",
                _BINARY,
                media="audio/ogg",
                parameters=[_path("name", "Of an example.", r"^[A-Za-z0-9_\-]{1,100}$")],
            )
        },
        "/": {"get": _operation("/", "The page for people.", {"type": "string"}, media="text/html")},
        "/api": {"get": _operation("/api", "This page, to read and to try.", {"type": "string"}, media="text/html")},
        "/docs.json": {"get": _operation("/docs.json", "This page for programs.", {"type": "object"})},
        **{
            path: {"get": _operation(path, summary, {"type": "string"}, media="text/plain")}
            for path, summary in (
                ("/metrics", "Give figures for Prometheus."),
                ("/healthz", "Say that the worker works."),
                ("/livez", "Say that the worker works."),
                ("/readyz", "Say that there is a champion."),
            )
        },
    }


def _operation(
    path: str,
    summary: str,
    answer: type[BaseModel] | dict[str, Any],
    *,
    media: str = _JSON,
    body: dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    told: dict[str, Any] = {
        "summary": summary,
        "operationId": "_".join(path.replace("{", "").replace("}", "").strip("/").split("/")) or "page",
        "security": _SECURITY,
        "responses": _responses(path, answer, media),
    }
    return told | ({"requestBody": body} if body else {}) | ({"parameters": parameters} if parameters else {})


def _responses(path: str, answer: type[BaseModel] | dict[str, Any], media: str = _JSON) -> dict[str, dict[str, Any]]:
    if isinstance(answer, dict):
        content: dict[str, Any] = {"schema": answer}
    else:
        content = {"schema": {"$ref": _REF.format(model=answer.__name__)}}
        if example := (answer.model_config.get("json_schema_extra") or {}).get("example"):  # type: ignore[union-attr]
            content["example"] = example
    good = {"description": "The answer.", "headers": _REQUEST_ID, "content": {media: content}}
    return {"200": good} | error_responses((*_CODES[path], *_ANY))


def error_responses(codes: Iterable[str] = tuple(KINDS)) -> dict[str, dict[str, Any]]:
    """HTTP status → what the OpenAPI page says about it."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        if code in KINDS:
            by_status[KINDS[code].status.value].append(code)
    return {str(status): _response(status, by_status[status]) for status in sorted(by_status)}


def _response(status: int, codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {"value": {"error": {"code": code, "message": KINDS[code].example, "request_id": "0" * 32}}}
        for code in codes
    }
    content = {_JSON: {"schema": {"$ref": _REF.format(model="ErrorAnswer")}, "examples": examples}}
    headers = _REQUEST_ID | (_RETRY_AFTER if status in _LATER else {})
    return {"description": " or ".join(f"`{code}`" for code in codes), "headers": headers, "content": content}


def _json_body(model: type[BaseModel], example: dict[str, Any] | None = None) -> dict[str, Any]:
    example = example or (model.model_config.get("json_schema_extra") or {}).get("example")  # type: ignore
    return {
        "required": True,
        "content": {_JSON: {"schema": {"$ref": _REF.format(model=model.__name__)}, "example": example}},
    }


def _query(name: str, description: str, **told: Any) -> dict[str, Any]:
    schema = {"type": "string", **told}
    return {"name": name, "in": "query", "required": True, "description": description, "schema": schema}


def _path(name: str, description: str, pattern: str) -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "description": description, "schema": schema}


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    whole = model.model_json_schema(ref_template=_REF)
    return {**whole.pop("$defs", {}), model.__name__: whole}


def _version() -> str:
    try:
        return version("earmark")
    except PackageNotFoundError:  # in a bento earmark is a folder of source files
        return "unknown"
