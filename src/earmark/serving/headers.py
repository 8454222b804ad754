"""Headers in and out: what every answer says to browsers, what no answer tells, and who may ask from another page."""

import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import urlsplit

from earmark.serving.errors import Refusal
from earmark.serving.paths import API_PAGE, PAGE, PAGE_FILES

Headers = list[tuple[bytes, bytes]]

REQUEST_ID = b"x-request-id"
_VALID_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_PAGE_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
# Swagger's page writes styles into its elements.
_API_PAGE_POLICY = f"{_PAGE_POLICY}; style-src 'self' 'unsafe-inline'"
# Whatever else is opened in a browser is no page.
_NO_PAGE_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"

_ALWAYS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=(self)",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}
# What says which software answers, and ids of its own beside the door's.
_UNTOLD = re.compile(rb"server|x-powered-by|x-request-id|x-bentoml-.*")

_LONGEST_PATH, _LONGEST_QUERY, _LONGEST_HEADERS = 2_000, 8_000, 32_768
# Methods that change or compute nothing.
_SAFE = ("GET", "HEAD", "OPTIONS")

CORS_METHODS = ("GET", "POST", "PUT")
CORS_HEADERS = ("Authorization", "Content-Type", "X-API-Key", "X-Request-Id")
CORS_EXPOSED = ("X-Request-Id", "Retry-After")


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The id that the caller gave the request, if it is one (up to 64 of letters, digits, . _ -), else a new one."""
    given = [value for name, value in headers if name == REQUEST_ID]
    if len(given) == 1 and _VALID_ID.fullmatch(given[0]):
        return given[0].decode()
    return secrets.token_hex(16)


def answer_headers(headers: Iterable[tuple[bytes, bytes]], *, path: str, request_id: str) -> Headers:
    """The headers of an answer: those from within that may be told, and ours where they do not say otherwise."""
    kept = [(name.lower(), value) for name, value in headers if not _UNTOLD.fullmatch(name.lower())]
    present = {name for name, _ in kept}
    ours = {**_ALWAYS, b"content-security-policy": _policy(path).encode()}
    kept += [(name, value) for name, value in ours.items() if name not in present]
    return [*kept, (REQUEST_ID, request_id.encode())]


def _policy(path: str) -> str:
    if path == PAGE or path.startswith(PAGE_FILES):
        return _PAGE_POLICY
    return _API_PAGE_POLICY if path == API_PAGE else _NO_PAGE_POLICY


def check_head(path: str, query: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Whether a request can be meant for the service at all.

    Raises:
        Refusal: Its path climbs (``..``) or holds control characters, or any of it is absurdly long.
    """
    if len(path) > _LONGEST_PATH or len(query) > _LONGEST_QUERY:
        raise Refusal("malformed", "The address is longer than any of this service.")
    if sum(len(name) + len(value) for name, value in headers) > _LONGEST_HEADERS:
        raise Refusal("malformed", f"The headers are longer than the {_LONGEST_HEADERS:,} bytes that are accepted.")
    if ".." in re.split(r"[/\\]", path) or not path.isprintable():
        raise Refusal("malformed", "The path has characters or parts that no path of this service has.")


def check_origin(method: str, headers: Mapping[bytes, bytes], allowed: Sequence[str]) -> None:
    """Whether a browser sends this for a page that may ask.

    CORS keeps another host's page from reading an answer, but not from sending a form, which would reach a service on
    a laptop from any page on the web. Browsers say where a request comes from (Sec-Fetch-Site; before that Origin);
    other programs say nothing and pass. The rule is that of Go's http.CrossOriginProtection.

    Raises:
        Refusal: The page is of another host, which service.cors_origins does not name.
    """
    origin = headers.get(b"origin", b"").decode("latin-1")
    if method in _SAFE or origin in allowed or "*" in allowed:
        return
    site = headers.get(b"sec-fetch-site")
    if site in (b"same-origin", b"none"):
        return
    host = headers.get(b"host", b"").decode("latin-1")
    if site is None and (not origin or _host_of(origin) == host.lower()):
        return
    raise Refusal(
        "forbidden",
        "Another host's page may not ask this service. If it should, whoever runs the service adds its origin to "
        "service.cors_origins in params.yaml.",
    )


def _host_of(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # no address at all
        return None
