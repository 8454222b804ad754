"""What an HTTP request carries, or the reason why it carries nothing: files, fields of a form, JSON, a raw body.

BentoML's own readers fetch addresses that stand in a file field, and answer 500 to a misnamed one. These take what they
name, nothing else, and never raise: the endpoint answers a refusal as it answers a song.
"""

import json
import logging
from pathlib import Path
from typing import Annotated, Any, Self

from bentoml import IODescriptor
from bentoml.validators import ContentType
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request

from earmark.serving.errors import Refusal
from earmark.serving.telling import FeedbackRequest

FILE, FILES = "file", "files"
MOST_SIMILAR = 100
MOST_CHARACTERS = 200  # of a text in a form
_MAX_FIELDS = 32
_MAX_FIELD_BYTES = 65_536  # of one that is no file, and so stays in memory
RECEIVED = "earmark.form"  # in the ASGI scope: a form that was read before
_REMEDY = f"Send the audio file as the form field `{FILE}`, for example with curl -F {FILE}=@song.mp3 …/predict."

logger = logging.getLogger("bentoml.earmark")

_Audio = Annotated[Path, ContentType("audio/*")]
_FILE_HELP = (
    "One audio file in any common format (mp3, m4a, ogg, opus, flac, wav, aiff …). "
    "Its bytes decide; its name and declared content type are ignored."
)


class SongUpload(IODescriptor):
    """The body of `POST /predict`: a multipart form with one audio file."""

    file: _Audio = Field(description=_FILE_HELP)

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """The file of ``request`` or a `Refusal`, as the field ``file``; nothing is decoded yet."""
        made: Self = await _read(cls, request, lambda form: {"file": one_file(form)}, "file")
        return made


class SongsUpload(IODescriptor):
    """The body of `POST /predict_batch`: a multipart form with several audio files."""

    files: list[_Audio] = Field(description=f"Several audio files, each as a field `{FILES}`.")

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """As `SongUpload`, for all files."""
        made: Self = await _read(cls, request, lambda form: {"files": all_files(form)}, "files")
        return made


class ExplainUpload(IODescriptor):
    """The body of `POST /explain`: an audio file, and what is to be explained."""

    file: _Audio = Field(description=_FILE_HELP)
    genre: str | None = Field(None, description="What is to be explained; the most probable genre unless given.")
    rather_than: str | None = Field(None, description="The genre that it is held against; all others unless given.")

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """As `SongUpload`."""

        def told(form: FormData) -> dict[str, Any]:
            return {
                "file": one_file(form),
                "genre": text(form, "genre"),
                "rather_than": text(form, "rather_than"),
            }

        made: Self = await _read(cls, request, told, "file")
        return made


class SimilarUpload(IODescriptor):
    """The body of `POST /similar`: an audio file, or the id of an answer to it."""

    file: _Audio = Field(None, description=_FILE_HELP)  # type: ignore[assignment]  # BentoML takes no union here
    prediction_id: str | None = Field(None, description="Instead of the file: an answer of the model now in service.")
    count: int = Field(10, description="How many songs.", ge=1, le=MOST_SIMILAR)

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """As `SongUpload`."""

        def told(form: FormData) -> dict[str, Any]:
            prediction_id = text(form, "prediction_id")
            if "prediction_id" in form and (FILE in form or prediction_id is None):
                found = f"both `{FILE}` and `prediction_id`" if FILE in form else "an empty `prediction_id`"
                raise Refusal("invalid", f"The form has {found}. Send one of them.")
            return {
                "file": None if prediction_id is not None else one_file(form),
                "prediction_id": prediction_id,
                "count": _count(text(form, "count")),
            }

        made: Self = await _read(cls, request, told, "file")
        return made


class FeedbackUpload(IODescriptor, FeedbackRequest):
    """The body of `POST /feedback`: JSON."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """The events or a `Refusal`, as the field ``events``; what each holds is looked at later."""
        try:
            found: Any = _fields(cls, await _json(request))["events"]
        except Refusal as refusal:
            found = refusal
        made: Self = cls.model_construct(events=found)
        return made


class LongBody(BaseModel):
    """An upload to be listened to."""

    model_config = ConfigDict(extra="forbid")

    upload_id: str = Field(description="As `POST /uploads` answered it.", pattern="^[0-9a-f]{32}$")


class LongRequest(IODescriptor, LongBody):
    """The body of `POST /predict_long`: JSON with the id of an upload."""

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> Self:
        """The id or a `Refusal`, as the field ``upload_id``."""
        try:
            found: Any = await upload_id_of(request)
        except Refusal as refusal:
            found = refusal
        made: Self = cls.model_construct(upload_id=found)
        return made


async def upload_id_of(request: Request) -> str:
    """What the body of `POST /predict_long/submit` names.

    Raises:
        Refusal: It is no body of this kind.
    """
    return str(_fields(LongRequest, await _json(request))["upload_id"])


async def _read(cls: Any, request: Request, told: Any, first: str) -> Any:
    """``cls`` with what ``told`` finds in the form; a `Refusal` comes as its field ``first``."""
    empty = dict.fromkeys(cls.model_fields)
    try:
        found = told(await _form(request))
    except Refusal as refusal:
        found = {first: refusal}
    return cls.model_construct(**empty | found)


async def received(request: Request) -> FormData | Refusal:
    """The whole form of ``request``, its files on disk beyond a megabyte; or why there is none."""
    try:
        return await _form(request)
    except Refusal as refusal:
        return refusal


async def _form(request: Request) -> FormData:
    known: FormData | Refusal | None = request.scope.get(RECEIVED)
    if isinstance(known, Refusal):
        raise known
    if known is not None:
        return known
    declared = request.headers.get("content-type", "")
    if not declared.lower().startswith("multipart/form-data"):
        kind = repr(declared[:100]) if declared else "nothing"
        raise Refusal("malformed", f"The body is declared as {kind}, not as multipart/form-data. {_REMEDY}")
    try:
        return await request.form(
            max_files=request.scope.get("earmark.max_files", 8),
            max_fields=_MAX_FIELDS,
            max_part_size=_MAX_FIELD_BYTES,
        )
    except Refusal:
        raise
    except OSError as error:
        logger.error("uploads cannot be stored: %s", error)
        raise Refusal("overloaded", "There is no room for an upload now. Try again later.") from None
    except ClientDisconnect:
        raise Refusal("interrupted", "The upload ended before its end. Send it again.") from None
    except (MultiPartException, HTTPException) as error:
        said = error.message if isinstance(error, MultiPartException) else str(error.detail)
        if said.startswith("Too many files"):
            raise Refusal("too_many_files", f"{said} Send several requests.") from None
        raise Refusal("malformed", f"The multipart form cannot be read: {said} {_REMEDY}") from None
    except Exception as error:  # the parser has many ways to stumble over a hostile form, none of them ours
        raise Refusal("malformed", f"The multipart form cannot be read ({type(error).__name__}). {_REMEDY}") from error


async def _json(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ClientDisconnect:
        raise Refusal("interrupted", "The request ended before its end. Send it again.") from None
    except (ValueError, RecursionError):
        raise Refusal("malformed", "The body is not JSON. Send an object, as `application/json`.") from None


def _fields(cls: Any, content: Any) -> dict[str, Any]:
    from pydantic import ValidationError, create_model

    plain = create_model(cls.__name__, __config__={"extra": "forbid", "strict": True}, **_definitions(cls))
    try:
        return dict(plain.model_validate(content))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise Refusal("invalid", f"`{place[:60]}`: {first['msg']}."[:300]) from None


def _definitions(cls: Any) -> dict[str, Any]:
    return {name: (field.annotation, field) for name, field in cls.model_fields.items()}


def one_file(form: FormData) -> UploadFile:
    """The one file in the field `file`.

    Raises:
        Refusal: The field is missing, there is more than one, or it holds text instead of a file.
    """
    found = form.getlist(FILE)
    if not found:
        raise Refusal("missing_file", f"The form has no field `{FILE}`; found: {_found(form)}. {_REMEDY}")
    if len(found) > 1:
        raise Refusal("several_files", f"The form has {len(found)} fields `{FILE}`. Send one file a request.")
    return _file(found[0], FILE)


def all_files(form: FormData) -> list[UploadFile]:
    """The files in the fields `files`.

    Raises:
        Refusal: There is none, or one of them holds text.
    """
    found = form.getlist(FILES)
    if not found:
        raise Refusal(
            "missing_file",
            f"The form has no field `{FILES}`; found: {_found(form)}. Send each audio file as a field `{FILES}`.",
        )
    return [_file(each, FILES) for each in found]


def text(form: FormData, name: str) -> str | None:
    """The text in the field ``name``; None where it is missing or empty.

    Raises:
        Refusal: There are several, it is a file, or it is very long.
    """
    found = form.getlist(name)
    if len(found) > 1 or any(isinstance(each, UploadFile) for each in found):
        raise Refusal("invalid", f"The field `{name}` should hold one text.")
    if not found or not found[0]:
        return None
    if len(str(found[0])) > MOST_CHARACTERS:
        raise Refusal("invalid", f"The field `{name}` is longer than {MOST_CHARACTERS} characters.")
    return str(found[0])


def _count(given: str | None) -> int:
    if given is None:
        return 10
    if not given.isascii() or not given.isdecimal() or not 1 <= int(given[:9]) <= MOST_SIMILAR:
        raise Refusal("invalid", f"`count` is {given[:20]!r}; it should be from 1 to {MOST_SIMILAR}.")
    return int(given)


def _file(found: Any, field: str) -> UploadFile:
    if not isinstance(found, UploadFile):
        raise Refusal(
            "not_a_file",
            f"The field `{field}` holds text, not a file. Addresses are never fetched. Send the audio itself.",
        )
    return found


def _found(form: FormData) -> str:
    return ", ".join(f"`{name[:40]}`" for name in list(form)[:5]) or "no field at all"
