"""The networks alone as ONNX, from excerpts to what they say of each: what earmark's own service computes with.

It takes seconds to make, so it is made once, by the stage `export`, and travels in the predictor's folder
(`earmark.model.network.predictor.GRAPH`); a service that finds none computes with torch.
"""

import shutil
from pathlib import Path

import torch
from torch import Tensor, nn

from earmark.files import read_json, replacing
from earmark.model.network.fused import fused
from earmark.model.network.predictor import GRAPH, NetworkPredictor
from earmark.model.portable.files import OPSET, bare, quiet

INPUT, OUTPUTS = "excerpts", ("logits", "tags", "places")


class ExcerptNetworks(nn.Module):
    """All networks side by side, in one pass."""

    def __init__(self, predictor: NetworkPredictor) -> None:
        super().__init__()
        self.networks = nn.ModuleList(fused(network).cpu() for network in predictor.networks)

    def forward(self, excerpts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``(n, mels, frames)`` to the parts of `earmark.model.answers.ExcerptAnswers`, in their order."""
        told = [network(excerpts) for network in self.networks]
        return torch.stack([logits for logits, _, _ in told]), torch.stack([tags for _, tags, _ in told]), told[0][2]


def export_excerpts(predictor: NetworkPredictor, path: Path) -> None:
    """Write an ONNX file: ``excerpts`` to ``logits``, ``tags`` and ``places``. Equal models make equal bytes."""
    module = ExcerptNetworks(predictor).eval()
    example = torch.zeros(3, predictor.frontend.mels, predictor.excerpt_frames)  # 1 would be taken for a constant
    with quiet():
        program = torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim("n")},), strict=False)
        exported = torch.onnx.export(
            program,
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            verbose=False,
        )
    model = bare(exported)
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param:  # torch numbers what it does not know
                size.dim_param = "n"
    with replacing(path) as part:
        part.write_bytes(model.SerializeToString(deterministic=True))


def carry(portable: Path, folder: Path) -> None:
    """Put the file out of models/portable into a predictor's folder, where its networks lie; none: nothing to do.

    Args:
        portable: As the stage `export` writes it, of the very networks in ``folder``.
        folder: Of a network, or of a blend with such a part; others are left as they are.
    """
    if not (portable / GRAPH).is_file():
        return
    for about in sorted(folder.rglob("predictor.json")):
        if read_json(about)["kind"] == NetworkPredictor.kind:
            shutil.copyfile(portable / GRAPH, about.parent / GRAPH)
