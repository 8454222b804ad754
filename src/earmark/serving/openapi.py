"""Makes BentoML's OpenAPI page say what is true: every refusal with its status, code and an example, nothing else."""

import inspect
from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attr
from bentoml._internal.service.openapi.specification import Contact, OpenAPISpecification, Schema
from pydantic import BaseModel

from earmark.serving.answers import EXAMPLE, Answer, ErrorAnswer
from earmark.serving.errors import KINDS

SUMMARY = "Say what the champion hears in a recording."
_REF = "#/components/schemas/{model}"
# BentoML describes its own errors and tasks, which this service does not answer with, and renames what it does.
_NOT_OURS = ("InvalidArgument", "NotFound", "InternalServerError", "TaskStatusResponse", "AnswerIODescriptor")
# A route of the service cannot answer these.
_NOT_OF_A_ROUTE = ("not_found", "method_not_allowed")


def complete(spec: OpenAPISpecification, *, title: str, description: str) -> OpenAPISpecification:
    """``spec`` with the service's own answers and errors in place of BentoML's guesses."""
    schemas = {name: schema for name, schema in spec.components["schemas"].items() if name not in _NOT_OURS}
    schemas |= _schemas(Answer) | _schemas(ErrorAnswer)
    for path in spec.paths.values():
        if path.post:
            path.post["summary"] = SUMMARY
            path.post["description"] = inspect.cleandoc(path.post["description"]).removeprefix(SUMMARY).strip()
            path.post["responses"] = {200: _answer()} | error_responses()
    info = attr.evolve(spec.info, title=title, description=description, version=_version(), contact=Contact(name=title))
    return attr.evolve(spec, components={"schemas": schemas}, info=info)


def _schemas(model: type[BaseModel]) -> dict[str, Schema]:
    whole = model.model_json_schema(ref_template=_REF)
    parts = whole.pop("$defs", {})
    return {name: Schema(**schema) for name, schema in {**parts, model.__name__: whole}.items()}


def _answer() -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(model="Answer")}, "example": EXAMPLE}}
    return {"description": "What the champion hears.", "content": content}


def error_responses() -> dict[int, dict[str, Any]]:
    """HTTP status → what the OpenAPI page says about it."""
    codes: dict[int, list[str]] = defaultdict(list)
    for code, kind in KINDS.items():
        if code not in _NOT_OF_A_ROUTE:
            codes[kind.status.value].append(code)
    return {status: _response(codes[status]) for status in sorted(codes)}


def _response(codes: list[str]) -> dict[str, Any]:
    examples = {
        code: {"value": {"error": {"code": code, "message": KINDS[code].example, "request_id": "0" * 32}}}
        for code in codes
    }
    content = {"application/json": {"schema": {"$ref": _REF.format(model="ErrorAnswer")}, "examples": examples}}
    return {"description": " or ".join(f"`{code}`" for code in codes), "content": content}


def _version() -> str:
    try:
        return version("earmark")
    except PackageNotFoundError:  # in a bento earmark is a folder of source files
        return "unknown"
