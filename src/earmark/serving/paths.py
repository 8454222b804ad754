"""What the door knows of the service's paths before it asks anything behind it.

Who may come without a key, which answers are pages, and what a path is called in the log, where an id of a prediction
has no business.
"""

from collections.abc import Mapping
from typing import Any

# Asked every few seconds by whatever watches over the service.
HEALTH = frozenset({"/livez", "/readyz", "/healthz"})
METRICS = "/metrics"
PAGE = "/"
API_PAGE = "/api"
DOCS = "/docs.json"
PAGE_FILES = "/page/"
API_PAGE_FILES = "/static_content/"
UPLOADS = "/uploads"
PREDICT_BATCH = "/predict_batch"
PREDICT_LONG = "/predict_long"
FEEDBACK = "/feedback"

_PAGES = frozenset({PAGE, API_PAGE, DOCS})
_FOLDERS = (PAGE_FILES, API_PAGE_FILES)
_ENDPOINTS = frozenset(
    {"/predict", PREDICT_BATCH, "/explain", "/similar", FEEDBACK, UPLOADS, "/model", "/examples", "/schema.json"}
    | {f"{PREDICT_LONG}{step}" for step in ("", "/submit", "/status", "/get", "/retry", "/cancel")}
)
_WITH_AN_ID = {
    "/lineage/": "/lineage/{prediction_id}",
    "/feedback/": "/feedback/{event_id}",
    "/examples/": "/examples/{name}",
}
UNKNOWN = "(unknown)"


def open_to_all(method: str, path: str) -> bool:
    """Whether nobody needs a key for this: health, and the pages, which say nothing but how to ask."""
    return method in ("GET", "HEAD") and (path in HEALTH or path in _PAGES or path.startswith(_FOLDERS))


def template_of(scope: Mapping[str, Any]) -> str:
    """How the log calls the path of a request: never with what somebody wrote into it.

    Where a route took the request (``endpoint`` in the ASGI scope), its parameters become names in braces; a request
    that was refused before has the name of a known path, or `UNKNOWN`.
    """
    path = scope["path"]
    if path in _ENDPOINTS or path in _PAGES or path in HEALTH or path == METRICS:
        return str(path)
    for start in _FOLDERS:
        if path.startswith(start):
            return f"{start}*"
    for start, name in _WITH_AN_ID.items():
        if path.startswith(start):
            return name
    if "endpoint" not in scope:
        return UNKNOWN
    if mounted := scope.get("root_path"):
        return f"{mounted}/*"
    parameters = {str(value): name for name, value in scope.get("path_params", {}).items()}
    return "/".join(f"{{{parameters[part]}}}" if part in parameters else part for part in path.split("/"))
