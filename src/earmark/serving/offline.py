"""`earmark predict FILES…`: what the champion hears in files on this machine, without a service.

It answers with models/champion, the copy that promotion leaves beside the code, so it needs no registry.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from earmark.errors import EarmarkError, ModelError
from earmark.params import Params, load_params
from earmark.progress import progress
from earmark.serving.champion import Champion, FolderSource
from earmark.workspace import CHAMPION, PARAMS

if TYPE_CHECKING:
    from earmark.serving.answers import Answer
    from earmark.serving.many import Outcome

_MANY = 50  # files, from which on even a log wants to know how far it is
_CTRL_C = 130


@dataclass(frozen=True)
class Wanted:
    """What to do with the answers.

    Attributes:
        form: How they are printed.
        tags: Write them into the files' tags, too.
        overwrite: Also in place of a person's genre, tempo or key.
    """

    form: Literal["text", "json", "csv"] = "text"
    tags: bool = False
    overwrite: bool = False


def predict_files(root: Path, files: Sequence[Path], *, model: Path | None = None, wanted: Wanted | None = None) -> int:
    """Print what is said of each of ``files``; a bad one goes to standard error with its reason and spoils no other.

    Several are heard beside each other and printed in order, each as soon as it is its turn.

    Args:
        root: The project's root.
        files: Recordings in any common format, and folders of them.
        model: A predictor's folder; None means the champion.
        wanted: What to do with the answers; None prints them as text.

    Returns:
        0 if every file was answered, else the exit code of the last error; 130 after Ctrl-C.

    Raises:
        ModelError: There is no model to ask.
    """
    from earmark.serving.many import recordings

    params = load_params(root / PARAMS)
    champion = _champion(root, model, name=params.registry.model)
    work = _Work(root, champion, params, wanted or Wanted())
    try:
        return asyncio.run(work.through(list(recordings(files))))
    except KeyboardInterrupt:
        print(f"earmark: stopped by Ctrl-C after {work.done} files.", file=sys.stderr)
        return _CTRL_C


class _Work:
    """Files on their way to the screen."""

    def __init__(self, root: Path, champion: Champion, params: Params, wanted: Wanted) -> None:
        from earmark.serving.printing import form_of

        self._root, self._champion, self._limits, self._wanted = root, champion, params.service, wanted
        self._form = form_of(wanted.form, champion.predictor.tags)
        self._bar = False
        self._exit_code = 0
        self.done = self._tagged = 0

    async def through(self, files: Sequence["Path | Outcome"]) -> int:
        """Hear all and print all; the exit code."""
        from earmark.serving.many import hear_all

        self._bar = len(files) > 1 and (sys.stderr.isatty() or len(files) >= _MANY)
        ticks = iter(progress(files, description="predict", unit="file") if self._bar else files)
        if header := self._form.header():
            self._say(header)
        async with aclosing(hear_all(files, self._champion, self._limits)) as outcomes:
            next(ticks, None)
            async for outcome in outcomes:
                self._tell(outcome)
                next(ticks, None)
        if self._wanted.tags:
            self._complain(f"tags written: {self._tagged}; files left as they were: {self.done - self._tagged}.")
        return self._exit_code

    def _tell(self, outcome: "Outcome") -> None:
        from earmark.serving.printing import as_text

        self.done += 1
        error = outcome.error
        if outcome.answer is not None and self._wanted.tags:
            error = self._tag(outcome.file, outcome.answer)
        if error is not None:
            self._exit_code = error.exit_code
            self._complain(f"{as_text(outcome.file)}: {error}")
        why = None if error is None else str(error)
        if outcome.answer is not None:
            self._say(self._form.answered(outcome.file, outcome.answer, why))
        elif row := self._form.refused(outcome.file, str(error)):
            self._say(row)

    def _tag(self, file: Path, answer: "Answer") -> EarmarkError | None:
        from earmark.serving.tagging import said_of, write_tags

        try:
            self._tagged += write_tags(file, said_of(answer), overwrite=self._wanted.overwrite, root=self._root)
        except EarmarkError as error:
            return error
        return None

    def _say(self, line: str) -> None:
        self._write(line + self._form.end, sys.stdout)

    def _complain(self, text: str) -> None:
        self._write(f"earmark: {text}\n", sys.stderr)

    def _write(self, text: str, file: TextIO) -> None:
        if self._bar:
            from tqdm import tqdm

            tqdm.write(text, file=file, end="")  # the bar makes room
        else:
            file.write(text)
        file.flush()


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
