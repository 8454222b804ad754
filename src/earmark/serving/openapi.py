"""Makes BentoML's OpenAPI page say what is true: every refusal with its status, code and an example, nothing else."""

from collections import defaultdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import attr
from bentoml._internal.service.openapi.specification import Contact, OpenAPISpecification, Schema

from earmark.serving.answers import EXAMPLE, ErrorAnswer
from earmark.serving.errors import KINDS

_REF = "#/components/schemas/{model}"
# BentoML describes its own errors and tasks; this service answers neither.
_NOT_OURS = ("InvalidArgument", "NotFound", "InternalServerError", "TaskStatusResponse")
# A route of the service cannot answer these.
_NOT_OF_A_ROUTE = ("not_found", "method_not_allowed")


def complete(spec: OpenAPISpecification, *, title: str, description: str) -> OpenAPISpecification:
    """``spec`` with the service's own errors in place of BentoML's."""
    schemas = {name: schema for name, schema in spec.components["schemas"].items() if name not in _NOT_OURS}
    error = ErrorAnswer.model_json_schema(ref_template=_REF)
    schemas |= {name: Schema(**part) for name, part in error.pop("$defs").items()}
    schemas["ErrorAnswer"] = Schema(**error)
    for path in spec.paths.values():
        if path.post:
            good = {status: answer for status, answer in path.post["responses"].items() if int(status) < 400}
            path.post["responses"] = good | error_responses()
            path.post["summary"] = "Say what the champion hears in a recording"
            for answer in good.values():
                content = answer["content"]
                content["application/json"] = attr.evolve(content["application/json"], example=EXAMPLE)
    info = attr.evolve(spec.info, title=title, description=description, version=_version(), contact=Contact(name=title))
    return attr.evolve(spec, components={"schemas": schemas}, info=info)


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
