"""Where a network's training starts: at random, or from what another one has learnt.

What is heard in music is much the same everywhere, what it is called is not: the trunk is taken over, heads only where
they answer the same question (Yosinski et al., "How transferable are features in deep neural networks?", NIPS 2014).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from earmark.errors import ModelError
from earmark.files import read_json
from earmark.model.encoders.encoder import ABOUT, read_weights
from earmark.model.encoders.loading import is_none, load_encoder
from earmark.model.encoders.network_encoder import NetworkEncoder, is_head
from earmark.model.network.network import MusicNetwork
from earmark.model.network.predictor import NetworkPredictor
from earmark.model.predictor import load_predictor
from earmark.params import Frontend, from_dict, to_dict

UNDESCRIBED = (
    "Nothing is known of what the weights in training.start_from have heard: beside that file there is no "
    "predictor.json and no encoder.json. If they know songs that are held out here, scores and calibration flatter; "
    "name the whole folder of a model instead."
)


@dataclass(frozen=True)
class Start:
    """Weights to begin with, and what is known of them.

    Attributes:
        weights: By their names in a `MusicNetwork`.
        labels: Of its head for genres; empty where that is not known.
        tags: Of its head for tags; as above.
        frontend: None where it is not known.
        trained_on: Content hashes of the recordings that they were fitted to, as far as they are known.
        labelled: Whether they were told the labels of those, as in `earmark.model.encoders.encoder.Encoder`.
        described: Whether anything is known of what they were trained on.
    """

    weights: dict[str, Tensor]
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    frontend: Frontend | None = None
    trained_on: frozenset[str] = field(default_factory=frozenset)
    labelled: bool = True
    described: bool = True

    @property
    def digest(self) -> str:
        """Names the weights by their content."""
        total = hashlib.sha256()
        for name, value in sorted(self.weights.items()):
            total.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
        return total.hexdigest()


def start_from(
    network: MusicNetwork,
    folder: Path,
    *,
    labels: Sequence[str] = (),
    tags: Sequence[str] = (),
    frontend: Frontend | None = None,
) -> list[str]:
    """Copy into ``network`` what another one has learnt.

    The trunk with all before and behind it has to fit. A head is taken over where it has the same labels, in the same
    order; that of a trained embedding never, since its directions mean something else each time.

    Args:
        network: Changed in place.
        folder: As `read_start` reads it.
        labels: The genres that ``network`` is to learn.
        tags: And the tags.
        frontend: By which it hears; compared where that of the other one is known.

    Returns:
        Names of the weights of ``network`` that were left as they are.

    Raises:
        ModelError: There are no such weights there, or the trunk, or the front-end, does not fit.
    """
    start = read_start(folder)
    if frontend is not None and start.frontend is not None and start.frontend != frontend:
        ours, theirs = to_dict(frontend), to_dict(start.frontend)
        apart = ", ".join(
            f"{name} {ours[name]} here, {theirs[name]} there" for name in ours if ours[name] != theirs[name]
        )
        raise ModelError(
            f"The weights in {folder} were trained by another front-end ({apart}), so the trunk would hear something "
            "else. Set section frontend of params.yaml as it is there, or start from other weights."
        )
    own = network.state_dict()
    same = {"genre": _same(start.labels, labels), "tags": _same(start.tags, tags), "place": False}
    wanted = [name for name in own if not is_head(name) or same[name.split(".")[0]]]
    wrong = [
        f"{name} {tuple(own[name].shape)} here, {_shape(start.weights.get(name))} there"
        for name in wanted
        if name not in start.weights or own[name].shape != start.weights[name].shape
    ]
    if wrong:
        raise ModelError(
            f"The weights in {folder} do not fit this network: {'; '.join(wrong[:3])}. "
            "Set network.size, network.pooling and frontend.mels of params.yaml as they were for those weights, or "
            "start from other ones."
        )
    network.load_state_dict({**own, **{name: start.weights[name] for name in wanted}})
    return [name for name in own if name not in wanted]


def start_at(root: Path, folder: str) -> Start | None:
    """As `read_start`, of a path as ``training.start_from`` has it; None where it names none, or weights/none."""
    return None if not folder or is_none(root / folder) else read_start(root / folder)


def check_unheard(start: Start, *, tested: frozenset[str], held: frozenset[str]) -> None:
    """Weights that were fitted to a song know it, so that nothing which follows from that song would be true of others.

    Args:
        start: The weights.
        tested: Content hashes of the songs that are for testing: they may not even have been listened to.
        held: Of those that are held out for calibration or for a choice: weights that listened to them without their
            labels still answer them much as any others.

    Raises:
        ModelError: They know one.
    """
    if known := (tested | held if start.labelled else tested) & start.trained_on:
        raise ModelError(
            f"The weights in training.start_from were trained on {len(known)} of the songs that are held out here, "
            f"{len(known & tested)} of them for testing: scores, calibration and choices would be of songs that they "
            "know. Start from weights of another catalogue (`earmark weights fetch`), or of `earmark pretrain`."
        )


def read_start(folder: Path) -> Start:
    """The weights in a predictor's folder (of several networks the first), in an encoder's, or in a bare file.

    Args:
        folder: That folder; or a ``.pt`` file, a dictionary of tensors by their names in a `MusicNetwork`. What such a
            file was trained on is read from the description of a predictor or encoder beside it, if there is one.

    Raises:
        ModelError: It is missing or cannot be read, or holds no network of earmark's own.
    """
    if folder.is_file():
        return _bare(folder)
    if (folder / "predictor.json").is_file():
        found = load_predictor(folder)
        parts = [found, *getattr(found, "parts", {}).values()]
        for part in parts:
            if isinstance(part, NetworkPredictor):
                weights = {name: value.cpu() for name, value in part.networks[0].state_dict().items()}
                return Start(weights, part.labels, part.tags, part.frontend, part.trained_on)
        raise ModelError(
            f"{folder} holds a predictor of the kind {found.kind!r}, without a network to start from. Name a network's "
            "folder, such as models/network."
        )
    encoder = load_encoder(folder)
    if not isinstance(encoder, NetworkEncoder):
        raise ModelError(
            f"{folder} holds an encoder of the kind {encoder.kind!r}, whose layers are not those of earmark's network. "
            "Let the kernel machines stand on it (machine.encoder), and start the network from weights of its own kind."
        )
    weights = dict(encoder.network.state_dict())
    return Start(weights, frontend=encoder.frontend, trained_on=encoder.trained_on, labelled=encoder.labelled)


def _bare(file: Path) -> Start:
    weights = _tensors(file)
    for beside in (file.with_name("predictor.json"), file.with_name(ABOUT)):
        about = read_json(beside) if beside.is_file() else {}
        if "trained_on" in about:
            heard, told = frozenset(about["trained_on"]), about.get("frontend")
            frontend = None if told is None else from_dict(Frontend, told, where=f"{beside}: frontend")
            return Start(weights, frontend=frontend, trained_on=heard, labelled=about.get("labelled", True))
    return Start(weights, described=False)


def _tensors(file: Path) -> dict[str, Tensor]:
    found = read_weights(file)
    if isinstance(found, list) and found:  # a predictor's network.pt: one dictionary a network
        found = found[0]
    if not isinstance(found, dict) or not all(isinstance(value, Tensor) for value in found.values()):
        raise ModelError(f"{file} holds {type(found).__name__}, not a dictionary of tensors: torch.save(state_dict).")
    return found


def _same(theirs: Sequence[str], ours: Sequence[str]) -> bool:
    return bool(theirs) and tuple(theirs) == tuple(ours)


def _shape(found: Tensor | None) -> str:
    return "nothing" if found is None else str(tuple(found.shape))
