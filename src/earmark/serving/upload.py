"""One uploaded file out of one HTTP request, or the reason why there is none.

BentoML's own reader fetches addresses that stand in a file field, and answers 500 to a misnamed one. This one takes the
form field `file`, nothing else, and never raises: the endpoint answers a refusal as it answers a song.
"""

from pathlib import Path
from typing import Annotated, Any

from bentoml import IODescriptor
from bentoml.validators import ContentType
from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from earmark.serving.errors import Refusal

FIELD = "file"
_MAX_FILES = 8
_MAX_FIELDS = 32
_REMEDY = f"Send the audio file as the form field `{FIELD}`, for example with curl -F {FIELD}=@song.mp3 …/predict."


class SongUpload(IODescriptor):
    """The body of `POST /predict`: a multipart form with one audio file."""

    file: Annotated[Path, ContentType("audio/*")] = Field(
        description="One audio file in any common format (mp3, m4a, ogg, opus, flac, wav, aiff …). "
        "Its bytes decide; its name and declared content type are ignored."
    )

    @classmethod
    async def from_http_request(cls, request: Request, serde: Any) -> "SongUpload":
        """The file of ``request`` or a `Refusal`, as the field ``file``; nothing is decoded yet."""
        try:
            found: UploadFile | Refusal = one_file(await _form(request))
        except Refusal as refusal:
            found = refusal
        song: SongUpload = cls.model_construct(
            file=found
        )  # what the endpoint gets, instead of BentoML's own temporary file
        return song


async def _form(request: Request) -> FormData:
    declared = request.headers.get("content-type", "")
    if not declared.lower().startswith("multipart/form-data"):
        kind = repr(declared[:100]) if declared else "nothing"
        raise Refusal("malformed", f"The body is declared as {kind}, not as multipart/form-data. {_REMEDY}")
    try:
        return await request.form(max_files=_MAX_FILES, max_fields=_MAX_FIELDS)
    except Refusal:
        raise
    except ClientDisconnect:
        raise Refusal("interrupted", "The upload ended before its end. Send it again.") from None
    except HTTPException as error:
        raise Refusal("malformed", f"The multipart form cannot be read: {error.detail} {_REMEDY}") from None
    except (
        Exception
    ) as error:  # the parser has many ways to stumble over a hostile form, none of them the service's fault
        raise Refusal("malformed", f"The multipart form cannot be read ({type(error).__name__}). {_REMEDY}") from error


def one_file(form: FormData) -> UploadFile:
    """The one file in the field `file`.

    Raises:
        Refusal: The field is missing, there is more than one, or it holds text instead of a file.
    """
    found = form.getlist(FIELD)
    if not found:
        names = ", ".join(f"`{name[:40]}`" for name in list(form)[:5]) or "no field at all"
        raise Refusal("missing_file", f"The form has no field `{FIELD}`; found: {names}. {_REMEDY}")
    if len(found) > 1:
        raise Refusal("several_files", f"The form has {len(found)} fields `{FIELD}`. Send one file a request.")
    if not isinstance(found[0], UploadFile):
        raise Refusal(
            "not_a_file",
            f"The field `{FIELD}` holds text, not a file. Addresses are never fetched. {_REMEDY}",
        )
    return found[0]
