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
        form: ``json``, ``png``, or what else was asked for.
    """

    sticky: str | None = None
    form: str = "json"


NOTHING = Asked()
asked: ContextVar[Asked] = ContextVar("earmark_asked", default=NOTHING)


def asked_of(headers: list[tuple[bytes, bytes]], query: bytes) -> Asked:
    """What the headers and the query of a request say.

    Raises:
        Refusal: The query has absurdly many fields.
    """
    told = {name: value for name, value in headers if name in (_KEY, b"accept")}
    sticky = told.get(_KEY, b"")[:200].decode("latin-1") or None
    chosen = _fields(query.decode("latin-1")).get("format") if query else None
    accepted = "png" if b"image/png" in told.get(b"accept", b"") else "json"
    return Asked(sticky, accepted if chosen is None else ", ".join(chosen))


def parts(query: str, name: str) -> str:
    """The value of ``name`` in a query.

    Raises:
        Refusal: It is missing, or there are several.
    """
    found = _fields(query).get(name, [])
    if len(found) != 1 or not found[0]:
        raise Refusal("invalid", f"`{name}` is {'there more than once' if len(found) > 1 else 'missing'}: …?{name}=…")
    return found[0]


def _fields(query: str) -> dict[str, list[str]]:
    try:
        return parse_qs(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise Refusal("malformed", f"The query has more than the {_MOST_FIELDS} fields that are accepted.") from None
