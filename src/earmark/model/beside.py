"""What lies in a predictor's folder without being part of it, once it is registered or promoted.

=================  ====================================================================================
``champion.json``  promotion's note of where it comes from
``neighbours``     the catalogue's songs by its embedding (`earmark.model.neighbours`)
``examples``       a few songs to listen to (the stage `examples`)
``excerpts.onnx``  a network's weights once more, for a faster engine; in a blend beside its network's
=================  ====================================================================================

The predictor answers alike without them; so they neither count for its size nor tell it from another.
"""

import shutil
from pathlib import Path

NOTE = "champion.json"
NEIGHBOURS = "neighbours"
EXAMPLES = "examples"
EXCERPTS = "excerpts.onnx"  # `earmark.model.network.predictor.GRAPH`, told here without loading torch

_FOLDERS = (NEIGHBOURS, EXAMPLES)


def files_of_predictor(folder: Path) -> list[Path]:
    """The files in ``folder`` that the predictor itself consists of, sorted."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in (NOTE, EXCERPTS)]
    return sorted(path for path in files if path.relative_to(folder).parts[0] not in _FOLDERS)


def copy_predictor(folder: Path, to: Path) -> None:
    """Copy the predictor in ``folder``, and nothing that lies beside it, into the new folder ``to``."""
    for path in files_of_predictor(folder):
        (to / path.relative_to(folder)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to / path.relative_to(folder))
