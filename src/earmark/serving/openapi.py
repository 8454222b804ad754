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
from earmark.serving.telling import EventRequest, FeedbackRequest

_REF = "#/components/schemas/{model}"
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
    EventAnswer,
    ExampleAnswer,
    LongAnswer,
    UploadAnswer,
    TaskStatus,
    ModelCard,
    Lineage,
    ErrorAnswer,
)

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
    "/predict_long/submit": (*_BODY, "invalid"),
    "/predict_long/retry": ("invalid", "unknown_task", "not_ready", "busy", "timed_out"),
    "/predict_long/status": ("invalid", "unknown_task"),
    "/predict_long/get": (*_SONG, "invalid", "unknown_task", "not_ready", "cancelled"),
    "/predict_long/cancel": ("invalid", "unknown_task"),
    "/model": ("no_champion",),
    "/lineage/{prediction_id}": ("unknown_prediction",),
    "/feedback/{event_id}": ("unknown_event",),
    "/examples": ("no_champion",),
    "/examples/{name}": ("no_champion", "not_found"),
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
        told["parameters"] = [_query("format", "`png` for a picture.", required=False, enum=["json", "png"])]
        told["responses"]["200"]["content"]["image/png"] = {"schema": _BINARY}
    info = {"title": title, "description": description, "version": _version()}
    security = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "Where the service asks for keys."},
    }
    components = {"schemas": given | ours, "securitySchemes": security}
    return Specification(openapi="3.1.0", info=info, servers=[{"url": "."}], paths=paths, components=components)


def _declared(path: str, post: dict[str, Any]) -> dict[str, Any]:
    """BentoML's description of an endpoint, with our answers."""
    first, _, rest = inspect.cleandoc(post.get("description") or "").partition("\n\n")
    model = {
        "/predict": Answer,
        "/predict_batch": BatchAnswer,
        "/explain": ExplainAnswer,
        "/similar": SimilarAnswer,
        "/feedback": FeedbackAnswer,
        "/predict_long": LongAnswer,
    }[path]
    told = {name: value for name, value in post.items() if name not in ("responses", "x-bentoml-name")}
    told |= {"summary": first, "description": rest, "security": _SECURITY, "responses": _responses(path, model)}
    if path == "/feedback":
        told["requestBody"] = _json_body(FeedbackRequest)
    return told


_BINARY = {"type": "string", "format": "binary"}
_SECURITY: list[dict[str, list[str]]] = [{}, {"bearer": []}]


def _own() -> dict[str, dict[str, Any]]:
    """What the site answers: path → method → operation."""
    task = _query("task_id", "As `POST /predict_long/submit` answered it.")
    upload_id = {"type": "object", "required": ["upload_id"], "properties": {"upload_id": {"type": "string"}}}
    submitted = {
        "type": "object",
        "required": ["task_id", "status"],
        "properties": {"task_id": {"type": "string"}, "status": {"type": "string"}},
    }
    raw = {
        "required": True,
        "content": {"application/octet-stream": {"schema": _BINARY}},
    }
    body = {"required": True, "content": {_JSON: {"schema": upload_id, "example": {"upload_id": "0" * 32}}}}
    return {
        "/uploads": {"post": _operation("/uploads", "Take in a long recording, as the body.", UploadAnswer, body=raw)},
        "/predict_long/submit": {
            "post": _operation(
                "/predict_long/submit", "Have a long recording listened to, as a task.", submitted, body=body
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
                parameters=[_path("prediction_id", "Of an answer.")],
            )
        },
        "/feedback/{event_id}": {
            "get": _operation(
                "/feedback/{event_id}",
                "Say what became of an event.",
                EventAnswer,
                parameters=[_path("event_id", "As it was sent.")],
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
                parameters=[_path("name", "Of an example.")],
            )
        },
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
    return {"200": {"description": "The answer.", "content": {media: content}}} | error_responses(
        (*_CODES[path], *_ANY)
    )


def error_responses(codes: Iterable[str] = tuple(KINDS)) -> dict[str, dict[str, Any]]:
    """HTTP status → what the OpenAPI page says about it."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in dict.fromkeys(codes):
        if code in KINDS:
            by_status[KINDS[code].status.value].append(code)
    return {str(status): _response(by_status[status]) for status in sorted(by_status)}


def _response(codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {"value": {"error": {"code": code, "message": KINDS[code].example, "request_id": "0" * 32}}}
        for code in codes
    }
    content = {_JSON: {"schema": {"$ref": _REF.format(model="ErrorAnswer")}, "examples": examples}}
    return {"description": " or ".join(f"`{code}`" for code in codes), "content": content}


def _json_body(model: type[BaseModel]) -> dict[str, Any]:
    example = (model.model_config.get("json_schema_extra") or {}).get("example")  # type: ignore[union-attr]
    return {
        "required": True,
        "content": {_JSON: {"schema": {"$ref": _REF.format(model=model.__name__)}, "example": example}},
    }


def _query(name: str, description: str, *, required: bool = True, enum: list[str] | None = None) -> dict[str, Any]:
    told = {"type": "string"} | ({"enum": enum} if enum else {})
    return {"name": name, "in": "query", "required": required, "description": description, "schema": told}


def _path(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": description, "schema": {"type": "string"}}


def _schemas(model: type[BaseModel]) -> dict[str, Any]:
    whole = model.model_json_schema(ref_template=_REF)
    return {**whole.pop("$defs", {}), model.__name__: whole}


def _version() -> str:
    try:
        return version("earmark")
    except PackageNotFoundError:  # in a bento earmark is a folder of source files
        return "unknown"
