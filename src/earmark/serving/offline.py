"""`earmark predict FILES…`: what the champion hears in files on this machine, without a service.

It answers with models/champion, the copy that promotion leaves beside the code, so it needs no registry.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from earmark.errors import AudioError, ModelError
from earmark.params import load_params
from earmark.serving.champion import Champion, FolderSource
from earmark.serving.listening import Heard, listen
from earmark.workspace import CHAMPION, PARAMS

# How many genres a line names; --json gives them all.
_SHOWN = 3


def predict_files(root: Path, files: Sequence[Path], *, model: Path | None = None, as_json: bool = False) -> int:
    """Print one line for each of ``files``; a bad one goes to standard error with its reason and spoils no other.

    Args:
        root: The project's root.
        files: Recordings in any common format.
        model: A predictor's folder; None means the champion.
        as_json: One JSON object a line instead of a table.

    Returns:
        0 if every file was answered, else the exit code of the last error.

    Raises:
        ModelError: There is no model to ask.
    """
    params = load_params(root / PARAMS)
    champion = _champion(root, model, name=params.registry.model)
    exit_code = 0
    for file in files:
        try:
            heard = listen(file, champion.predictor, params.service)
        except (AudioError, ModelError) as error:
            print(f"earmark: {file}: {error}", file=sys.stderr, flush=True)
            exit_code = error.exit_code
            continue
        print(_json(file, heard, champion) if as_json else _line(file, heard), flush=True)
    return exit_code


def _champion(root: Path, model: Path | None, *, name: str) -> Champion:
    folder = model or root / CHAMPION
    if not folder.is_dir():
        raise ModelError(
            f"There is no model at {folder}. "
            + (
                "Give the folder of a predictor, such as models/network."
                if model
                else "Promotion puts the champion there: run `earmark demo`, or the training flow. "
                "To ask a model that was trained and not promoted, add --model models/network."
            )
        )
    return FolderSource(folder, name=name).load()


def _line(file: Path, heard: Heard) -> str:
    genres = "  ".join(f"{each.genre} {each.probability:6.1%}" for each in heard.prediction.genres[:_SHOWN])
    warnings = "".join(f"\n    {warning}" for warning in heard.prediction.warnings)
    return f"{file}  {heard.duration_s:8.1f} s  {genres}{warnings}"


def _json(file: Path, heard: Heard, champion: Champion) -> str:
    content = {
        "file": str(file),
        **heard.prediction.to_dict(),
        "model": {"name": champion.name, "version": champion.version, "run_id": champion.run_id},
        "duration_s": heard.duration_s,
    }
    return json.dumps(content, ensure_ascii=False)
