"""Whether exported files answer as the predictor does, from the waveform on."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from earmark.errors import ModelError
from earmark.model.answers import Answers, Floats
from earmark.model.network.engines import by_onnx as engine_of
from earmark.model.network.predictor import GRAPH
from earmark.model.portable.files import ONNX, PROGRAM, exportable, quiet
from earmark.model.predictor import Predictor

TOLERANCE = 1e-4
Answering = Callable[[Tensor], Answers]


@dataclass(frozen=True)
class Difference:
    """The largest difference from the predictor's answers, over some recordings.

    Attributes:
        probabilities: Of any genre.
        shares: Of any tag; 0 where there are none.
        embedding: Distance, as a share of the embedding's length.
    """

    probabilities: float = 0.0
    shares: float = 0.0
    embedding: float = 0.0

    @property
    def largest(self) -> float:
        """Of the three."""
        return _larger(self.probabilities, self.shares, self.embedding)

    def or_larger(self, ours: Answers, theirs: Answers) -> "Difference":
        """With one more recording."""
        length = max(float(np.linalg.norm(ours.embeddings)), 1e-12)
        return Difference(
            _larger(self.probabilities, *np.abs(ours.genres - theirs.genres).flat),
            _larger(self.shares, *np.abs(ours.shares - theirs.shares).flat),
            _larger(self.embedding, float(np.linalg.norm(ours.embeddings - theirs.embeddings)) / length),
        )


def compared(predictor: Predictor, folder: Path, waveforms: Iterable[Tensor]) -> dict[str, Difference]:
    """How far the files in ``folder`` are from the predictor, by the names ``onnx``, ``program`` and ``excerpts``.

    Args:
        predictor: Of which they were made.
        folder: As `earmark.model.portable.files.export_all` writes it, and the stage `export`, which writes the third.
        waveforms: Mono, at the front-end's rate, each of shape ``(time,)``.
    """
    ways = {"onnx": by_onnx(folder / ONNX), "program": by_program(folder / PROGRAM)}
    if (folder / GRAPH).is_file():
        ways["excerpts"] = by_excerpts(predictor, folder / GRAPH)
    found = dict.fromkeys(ways, Difference())
    for waveform in waveforms:
        ours = predictor.answers([predictor.inputs(waveform)])
        found = {name: found[name].or_larger(ours, way(waveform)) for name, way in ways.items()}
    return found


def demand(found: dict[str, Difference]) -> None:
    """Let nothing pass that differs by more than `TOLERANCE`.

    Raises:
        ModelError: One does.
    """
    for name, difference in found.items():
        if not difference.largest <= TOLERANCE:  # also where it is not a number
            raise ModelError(
                f"What was exported ({name}) differs from the network by {difference.largest:.2g} on a recording; at "
                f"most {TOLERANCE:g} is allowed. The exporter or the runtime may be of another version than "
                "requirements.lock has: `make setup` mends that."
            )


def by_onnx(path: Path, threads: int = 0) -> Answering:
    """The ONNX file, run by ONNX Runtime on the processor, in so many threads; 0: as many as there are cores."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda waveform: _answers(*session.run(None, {"waveform": waveform.numpy()}))


def by_program(path: Path) -> Answering:
    """The program of torch.export, run by torch."""
    with quiet():
        program = torch.export.load(str(path)).module()

    def answer(waveform: Tensor) -> Answers:
        with torch.inference_mode():
            return _answers(*(part.numpy() for part in program(waveform)))

    return answer


def by_excerpts(predictor: Predictor, path: Path) -> Answering:
    """The predictor itself, with the networks as ONNX for its engine."""
    served = replace(exportable(predictor), engine=engine_of(path.read_bytes()))
    return lambda waveform: served.answers([served.inputs(waveform)])


def _answers(*parts: Floats) -> Answers:
    genres, shares, embedding = (np.asarray(part, dtype=np.float64)[None] for part in parts)
    return Answers(genres, shares, embedding)


def _larger(*numbers: float) -> float:
    return float(np.max(numbers))  # not a number, if one is none; `max` would pass over it
