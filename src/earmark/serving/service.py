"""The BentoML service: HTTP on one side, the champion's Predictor on the other. `bentoml serve` in the root starts it.

`POST /predict` answers for one uploaded file. `/livez` says that the process works, `/readyz` that it has a champion:
without one it stays alive, answers 503 with the remedy, and takes the champion up as soon as there is one.
Importing this file loads neither torch nor MLflow; `bentoml build` imports it too.
"""

import os
from pathlib import Path
from typing import Any

import bentoml
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from earmark.errors import AudioError
from earmark.params import Params, load_params
from earmark.serving.answers import Answer, ModelAnswer, answer_of
from earmark.serving.champion import Champion, ChampionSource, FolderSource
from earmark.serving.door import App, Door, refusal_response
from earmark.serving.errors import Refusal
from earmark.serving.follower import Follower
from earmark.serving.upload import SongUpload
from earmark.workspace import CHAMPION, PARAMS, find_root

DESCRIPTION = (
    "earmark says what a song is. Send a recording in any common format to `POST /predict`; "
    "the answer carries the version of the model that computed it.\n\n"
    "    curl -F file=@song.mp3 http://127.0.0.1:3000/predict\n\n"
    "Every error has one shape, `ErrorAnswer`: a code for programs, a message for people, the request's id."
)
NO_CHAMPION = (
    "There is no champion to answer. The service takes one up as soon as it is promoted: `earmark demo` or the flow "
    "`training` does that. If there is one, the service's log says why it cannot be loaded."
)
PAGE = Path(__file__).parent / "page" / "api.html"

_CORES = os.cpu_count() or 1
# Above this a request is refused at once (429), which is kinder than a queue that ends in time-outs. Each may hold an
# upload on disk, hence the ceiling.
MAX_CONCURRENCY = min(16 * _CORES, 128)
# A slow registry may delay the first champion, but not the service: until then it answers 503.
_FIRST_LOOK_PATIENCE_S = 30.0


def service_root() -> Path:
    """The folder of params.yaml: EARMARK_ROOT, else beside the package (in a bento), else the working folder or above.

    Raises:
        EarmarkError: There is none.
    """
    if named := os.environ.get("EARMARK_ROOT"):
        return find_root(Path(named))
    bento = Path(__file__).resolve().parents[2]
    return bento if (bento / PARAMS).is_file() else find_root()


class EarmarkService(bentoml.Service[Any]):
    """BentoML's service with its own door, a true OpenAPI page, and a start page that loads nothing from elsewhere."""

    def to_asgi(self, is_main: bool = True) -> App:
        """The application that a worker serves."""
        app = super().to_asgi(is_main=is_main)
        app.router.routes.insert(0, Route("/", lambda _: FileResponse(PAGE), methods=["GET"]))
        return Door(app, max_bytes=load_params(service_root() / PARAMS).service.max_bytes)

    @property
    def openapi_spec(self) -> Any:
        """What /docs.json tells."""
        from earmark.serving.openapi import complete

        return complete(super().openapi_spec, title="earmark", description=DESCRIPTION)


@bentoml.service(
    name="earmark",
    service_class=EarmarkService,
    # One champion in memory, shared by threads: decoding and inference are native code that lets go of the GIL.
    workers=1,
    threads=_CORES,
    # 50 MB over a slow line take a minute. A thread cannot be interrupted: this only frees clients that wait in vain.
    traffic={"timeout": 300, "max_concurrency": MAX_CONCURRENCY},
)
class Earmark:
    """Answers with the champion, whichever version that is at the moment."""

    def __init__(self) -> None:
        import torch

        # Requests run beside each other, one core each; every one of them spread over all cores would be a quarrel.
        torch.set_num_threads(1)
        root = service_root()
        self.params: Params = load_params(root / PARAMS)
        spare = FolderSource(root / CHAMPION, name=self.params.registry.model)
        self.follower = Follower(
            ChampionSource(self.params, root), every_s=self.params.service.follow_seconds, spare=spare
        )
        self.follower.start(patience_s=_FIRST_LOOK_PATIENCE_S)

    @bentoml.api(input_spec=SongUpload, output_spec=Answer)
    def predict(self, file: UploadFile | Refusal) -> Answer | Response:
        """Say what the champion hears in a recording.

        The answer holds genres, feelings and liking, how sure all of it is, and the model version that computed it. The
        recording is sent as the field `file` of a multipart form, in any common format; its bytes decide, not its name.
        What cannot be answered is refused with a code and a message: see the answers below.
        """
        try:
            return self._predict(file)
        except Refusal as refusal:
            return refusal_response(refusal)

    def _predict(self, file: UploadFile | Refusal) -> Answer:
        from earmark.serving.listening import listen

        if isinstance(file, Refusal):
            raise file
        limits = self.params.service
        if (file.size or 0) > limits.max_bytes:
            raise Refusal(
                "too_large",
                f"The file has {file.size:,} bytes; {limits.max_bytes:,} are accepted "
                "(service.max_bytes in params.yaml). Send an excerpt, or a compressed format.",
            )
        champion = self.follower.champion
        if champion is None:
            raise Refusal("no_champion", NO_CHAMPION)  # what exactly is missing is for the log: it may name paths
        try:
            heard = listen(file.file.read(), champion.predictor, limits)
        except AudioError as error:
            raise Refusal(refusal_code(error), str(error)) from None
        return answer_of(heard.prediction, model_answer(champion), duration_s=heard.duration_s)

    @bentoml.on_shutdown
    def stop_following(self) -> None:
        """Let the follower's thread end."""
        self.follower.stop()

    def __is_ready__(self) -> bool:
        """What /readyz asks: a service without a champion should get no requests."""
        return self.follower.champion is not None


def model_answer(champion: Champion) -> ModelAnswer:
    """Which model an answer comes from."""
    return ModelAnswer(name=champion.name, version=champion.version, run_id=champion.run_id)


def refusal_code(error: AudioError) -> str:
    """The code under which the service refuses a recording."""
    from earmark.audio.decode import EmptyAudio, NotAudio, TruncatedAudio
    from earmark.serving.errors import TooLong, TooShort

    codes: dict[type[AudioError], str] = {
        EmptyAudio: "empty",  # before NotAudio, whose child it is
        NotAudio: "not_audio",
        TruncatedAudio: "cut_off",
        TooShort: "too_short",
        TooLong: "too_long",
    }
    return next((code for kind, code in codes.items() if isinstance(error, kind)), "unreadable")
