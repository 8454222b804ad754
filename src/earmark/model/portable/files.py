"""A network predictor as files that need no earmark: ONNX, and a program of torch.export.

Both take the waveform and hold what one must know to use them (`about`). Equal models make equal bytes.
"""

import contextlib
import io
import json
import logging
import math
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from earmark.errors import ModelError
from earmark.files import replacing, sha256_of, write_json
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.portable.network import PortableNetwork
from earmark.model.predictor import Predictor

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FORMAT = 1
ONNX, PROGRAM, ABOUT = "network.onnx", "network.pt2", "portable.json"
ABOUT_INSIDE = "about.json"  # within the program's file
OUTPUTS = ("probabilities", "shares", "embedding")
OPSET = 18


def export_all(predictor: Predictor, folder: Path) -> dict[str, Any]:
    """Write network.onnx, network.pt2 and portable.json: what they are, and the SHA-256 of each.

    Returns:
        What portable.json says.

    Raises:
        ModelError: It is no network.
    """
    program = _program_of(exportable(predictor))
    _write_program(program, about(predictor), folder / PROGRAM)
    _write_onnx(program, about(predictor), folder / ONNX)  # last: it empties the program
    told = {**about(predictor), "files": {name: sha256_of(folder / name) for name in (ONNX, PROGRAM)}}
    write_json(folder / ABOUT, told)
    return told


def export_onnx(predictor: Predictor, path: Path) -> None:
    """Write an ONNX file whose ``metadata_props`` are `about`, lists and numbers as JSON.

    Raises:
        ModelError: It is no network.
    """
    _write_onnx(_program_of(exportable(predictor)), about(predictor), path)


def export_program(predictor: Predictor, path: Path) -> None:
    """Write a file for `torch.export.load`, with `about` as its extra file ``about.json``.

    Raises:
        ModelError: It is no network.
    """
    _write_program(_program_of(exportable(predictor)), about(predictor), path)


def exportable(predictor: Predictor) -> NetworkPredictor:
    """The predictor, if it can be exported.

    Raises:
        ModelError: It answers by descriptors.
    """
    if isinstance(predictor, NetworkPredictor):
        return predictor
    parts: dict[str, Predictor] = dict(getattr(predictor, "parts", {}))
    networks = [name for name, part in parts.items() if isinstance(part, NetworkPredictor)]
    remedy = "Export the network of the same training: `earmark export --model models/network --to portable`."
    if networks:
        remedy = (
            f"Export its part {networks[0]!r} alone, by the same command with `--part {networks[0]}`, in Python "
            f"`predictor.parts[{networks[0]!r}]`. The answers are then that part's, not the {predictor.kind}'s."
        )
    raise ModelError(
        f"A {predictor.kind} cannot be exported: it answers by descriptors of the whole recording (tempo, key, pitch "
        f"…), whose computation is no graph of tensors. {remedy}"
    )


def minimum_samples(predictor: Predictor) -> int:
    """How long a waveform has to be: `Predictor.minimum_seconds`, and one window of the analysis."""
    frontend = predictor.frontend
    return max(math.ceil(predictor.minimum_seconds * frontend.sample_rate_hz), frontend.n_fft)


def about(predictor: Predictor) -> dict[str, Any]:
    """What a consumer has to know, as plain values."""
    sure = predictor.calibration
    return {
        "format": FORMAT,
        "kind": predictor.kind,
        "labels": list(predictor.labels),
        "tags": list(predictor.tags),
        "sample_rate_hz": predictor.frontend.sample_rate_hz,
        "minimum_seconds": predictor.minimum_seconds,
        "minimum_samples": minimum_samples(predictor),
        "data_hash": predictor.data_hash,
        "calibrated": sure is not None,
        "least_confidence": 0.0 if sure is None else sure.threshold,
        "input": "waveform: mono, in [-1, 1], at sample_rate_hz, float32, shape (time,), at least minimum_samples",
        "outputs": "probabilities: (labels,); shares: of listeners, (tags,); embedding: (dims,)",
    }


def _program_of(predictor: NetworkPredictor) -> "ExportedProgram":
    module = PortableNetwork(predictor).eval()
    least = minimum_samples(predictor)
    example = torch.zeros(least + predictor.frontend.hop + 1)  # a length that nothing else has, or it would be frozen
    with quiet():
        program = torch.export.export(
            module, (example,), dynamic_shapes=({0: torch.export.Dim("time", min=least)},), strict=False
        )
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names of files on this machine
    return program


def _write_program(program: "ExportedProgram", told: dict[str, Any], path: Path) -> None:
    # By way of memory: given a path, torch writes the file's name into it.
    content = io.BytesIO()
    with quiet():
        torch.export.save(program, content, extra_files={ABOUT_INSIDE: json.dumps(told, ensure_ascii=False)})
    with replacing(path) as part:
        part.write_bytes(content.getvalue())


def _write_onnx(program: "ExportedProgram", told: dict[str, Any], path: Path) -> None:
    with quiet():
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=["waveform"],
            output_names=list(OUTPUTS),
            verbose=False,
        )
    model = bare(exported)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "time"
    for name, value in told.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        model.metadata_props.add(key=name, value=text)
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))


def bare(exported: Any) -> Any:
    """A model of torch's exporter without how it came about: stack traces, names of modules and of files.

    They are of no use to a consumer, and larger than a small network.
    """
    assert exported is not None
    model = exported.model_proto
    graph = model.graph
    for thing in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del thing.metadata_props[:]
    del graph.value_info[:]
    graph.name = "earmark"
    return model


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without torch's notes about what is not installed, or will be called otherwise; for this folder."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.onnx._internal.exporter._registration")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", UserWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
