"""From a folder to the encoder in it: an encoder's own, or that of a trained predictor."""

from pathlib import Path

from earmark.errors import ModelError
from earmark.files import read_json
from earmark.model.blend import BlendPredictor
from earmark.model.encoders.encoder import ABOUT, FORMAT, WEIGHTS, Encoder, read_weights
from earmark.model.encoders.musicnn import MusicnnEncoder
from earmark.model.encoders.network_encoder import NetworkEncoder
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import Predictor, load_predictor

ENCODERS: dict[str, type[Encoder]] = {kind.kind: kind for kind in (MusicnnEncoder, NetworkEncoder)}
NONE = "none"  # the kind of a folder that stands for: no encoder


def load_encoder(folder: Path) -> Encoder:
    """Read an encoder's folder, or take the encoder out of a predictor's: its own, or what its network hears.

    Raises:
        ModelError: The folder is missing, incomplete or damaged, was written by another version, or holds a predictor
            in which there is neither encoder nor network.
    """
    if (folder / ABOUT).is_file():
        return _own(folder)
    if (folder / "predictor.json").is_file():
        return _within(load_predictor(folder), folder)
    raise ModelError(
        f"{folder} holds no encoder (no {ABOUT}) and no predictor. `earmark weights import` brings published weights; "
        "`dvc pull` what others of your team have brought; or name the folder of a trained model."
    )


def encoder_at(root: Path, folder: str) -> Encoder | None:
    """As `load_encoder`, of a folder as params.yaml names it; None where it names none, or one that says so itself.

    DVC demands that what a stage depends on exists: so there is a folder, ``weights/none``, that stands for no encoder.
    """
    return None if not folder or is_none(root / folder) else load_encoder(root / folder)


def is_none(folder: Path) -> bool:
    """Whether the folder says that there is to be none, as weights/none does."""
    about = folder / ABOUT
    return about.is_file() and bool(read_json(about).get("kind") == NONE)


def _own(folder: Path) -> Encoder:
    about = read_json(folder / ABOUT)
    if about.get("format") != FORMAT or about.get("kind") not in ENCODERS:
        raise ModelError(
            f"{folder} has format {about.get('format')} and holds an encoder of the kind {about.get('kind')!r}; this "
            f"earmark reads format {FORMAT} of {', '.join(ENCODERS)}. Bring the weights again."
        )
    encoder = ENCODERS[about["kind"]].load(about, read_weights(folder / WEIGHTS))
    if encoder.digest != about["digest"]:
        raise ModelError(
            f"The weights in {folder} are not those that were written there: digest {encoder.digest}, not "
            f"{about['digest']}. The files are damaged or mixed, or of another version: bring the weights again."
        )
    return encoder


def _within(predictor: Predictor, folder: Path) -> Encoder:
    parts: list[Predictor] = [predictor, *(predictor.parts.values() if isinstance(predictor, BlendPredictor) else ())]
    for part in parts:
        if part.encoder is not None:
            return part.encoder
    for part in parts:
        if isinstance(part, NetworkPredictor):
            return NetworkEncoder.of(part)
    raise ModelError(
        f"{folder} holds a predictor of the kind {predictor.kind!r}, in which there is nothing that encodes: neither "
        "encoder nor network. Name a network's folder, or bring published weights with `earmark weights import`."
    )
