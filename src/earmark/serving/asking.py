"""What an endpoint may need to know of its request besides the body; set for each request, seen in all its tasks."""

from contextvars import ContextVar
from dataclasses import dataclass
from urllib.parse import parse_qs

from earmark.serving.errors import Refusal

_KEY = b"x-earmark-key"
_MOST_FIELDS = 20


@dataclass(frozen=True)
class Asked:
    """A request.

    Attributes:
        sticky: What the client wants to be known by, so that all its requests are answered by the same version.
        as_png: Whether a picture is asked for.
    """

    sticky: str | None = None
    as_png: bool = False


NOTHING = Asked()
asked: ContextVar[Asked] = ContextVar("earmark_asked", default=NOTHING)


def asked_of(headers: list[tuple[bytes, bytes]], query: bytes) -> Asked:
    """What the headers and the query of a request say.

    Raises:
        Refusal: The query has absurdly many fields.
    """
    told = {name: value for name, value in headers if name in (_KEY, b"accept")}
    sticky = told.get(_KEY, b"")[:200].decode("latin-1") or None
    chosen = _fields(query.decode("latin-1")).get("format", [""])[0] if query else ""
    return Asked(sticky, chosen == "png" or (not chosen and b"image/png" in told.get(b"accept", b"")))


def parts(query: str, name: str) -> str:
    """The value of ``name`` in a query.

    Raises:
        Refusal: It is missing, or there are several.
    """
    found = _fields(query).get(name, [])
    if len(found) != 1:
        raise Refusal("invalid", f"`{name}` is {'there more than once' if found else 'missing'}: …?{name}=…")
    return found[0]


def _fields(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Refusal("malformed", f"The query has more than the {_MOST_FIELDS} fields that are accepted.") from None
