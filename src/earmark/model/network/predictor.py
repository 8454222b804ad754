"""The convolutional network as a predictor: one network, or several that were each kept from hearing some artists."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from earmark.audio.features import LogMelArray
from earmark.audio.spectrogram import frames_of
from earmark.errors import ModelError
from earmark.files import replacing
from earmark.model.answers import Answers, ExcerptAnswers, Excerpts, ExcerptShape, Floats, Inputs
from earmark.model.network.excerpts import spread, starts
from earmark.model.network.network import MusicNetwork
from earmark.model.prediction import GenreProbability, Moment, TagShare
from earmark.model.predictor import Predictor
from earmark.params import Network, from_dict, to_dict

GRAPH = "excerpts.onnx"  # in a predictor's folder: its networks for an engine that reads ONNX
_AT_ONCE = 512  # excerpts that are held in memory; an engine takes of them as many at a time as suit it


@dataclass(frozen=True)
class NetworkPredictor(Predictor):
    """Networks, each heard in ``how.excerpts`` excerpts spread evenly over the recording.

    What they say is combined as the geometric mean of the probabilities, normalised, over excerpts and networks
    (Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS
    2017); of the tags as the mean of their shares. The embedding is the first network's, as the mean over the
    excerpts: those of several networks have nothing to do with each other.

    Attributes:
        networks: One at least.
        how: Section ``network`` of the params.yaml that they were trained with.
        device: Where they compute.
        engine: What computes what they say, to float precision: see `earmark.model.network.engines`. None: they
            themselves, as they were trained and evaluated.
        graph: The networks as ONNX, as `earmark.model.portable.excerpts` writes them; None where nobody has.
    """

    networks: tuple[MusicNetwork, ...]
    how: Network
    device: str = field(default="cpu", kw_only=True)
    engine: Callable[[Excerpts], ExcerptAnswers] | None = field(default=None, kw_only=True, compare=False, repr=False)
    graph: bytes | None = field(default=None, kw_only=True, compare=False, repr=False)

    kind = "network"
    needs_log_mel = True

    @property
    def network(self) -> "NetworkPredictor":
        """Itself."""
        return self

    @property
    def shape(self) -> ExcerptShape:
        """Of what is said of an excerpt."""
        first = self.networks[0]
        dims = first.width if first.place is None else first.place.out_features
        return ExcerptShape(len(self.networks), len(self.labels), len(self.tags), dims)

    @property
    def excerpt_frames(self) -> int:
        """How long an excerpt is, in frames."""
        return frames_of(self.how.excerpt_seconds, self.frontend)

    def raw(self, inputs: Sequence[Inputs]) -> Answers:
        """As `Predictor.raw`, of log-mels, or of what is told already."""
        told = [_together(each.told) for each in self.asked(inputs) if each.told is not None]
        genres, shares, embeddings = (np.stack(part) for part in zip(*told, strict=True))
        return Answers(genres, shares, embeddings)

    def asked(self, inputs: Sequence[Inputs]) -> list[Inputs]:
        """The same, with what the networks say of the excerpts where that is not told yet.

        Raises:
            ModelError: A log-mel is missing.
        """
        told = self._told(each.log_mel for each in inputs if each.told is None)
        return [each if each.told is not None else replace(each, told=next(told)) for each in inputs]

    def hear(self, excerpts: Excerpts) -> ExcerptAnswers:
        """What the networks say of excerpts ``(n, mels, frames)``, of one recording or of many: each by itself."""
        return self.engine(excerpts) if self.engine is not None else eager(self.networks, excerpts, self.device)

    def excerpts(self, log_mel: LogMelArray) -> Excerpts:
        """What is heard of a recording's log-mel ``(frames, mels)``: shape ``(excerpts, mels, frames)``."""
        return (
            spread(log_mel, frames=self.excerpt_frames, count=self.how.excerpts).astype(np.float32).transpose(0, 2, 1)
        )

    def heard_of(self, seconds: float) -> float:
        """How much of so many seconds the excerpts cover; where they overlap it counts once."""
        return min(seconds, self.how.excerpts * self.how.excerpt_seconds)

    def moments(self, inputs: Inputs) -> tuple[Moment, ...]:
        """What is heard in each excerpt by itself, before calibration: genres and tags as of the whole.

        Args:
            inputs: With ``seconds``, and what was ``told``.
        """
        if inputs.told is None or inputs.seconds is None:
            raise ModelError("Moments follow from what the networks said, and from how long the recording is.")
        rate, hop = self.frontend.sample_rate_hz, self.frontend.hop
        frames = self.excerpt_frames
        length = 1 + round(inputs.seconds * rate) // hop  # as `LogMel` has it
        logs, shares = _logs_and_shares(inputs.told)
        genres = torch.stack(logs).mean(dim=0).softmax(dim=1).numpy()
        return tuple(
            Moment(
                start_s=start * hop / rate,
                end_s=min((start + frames) * hop / rate, inputs.seconds),
                genres=tuple(
                    GenreProbability(self.labels[i], float(said[i])) for i in np.argsort(-said, kind="stable")
                ),
                tags=tuple(TagShare(float(own[i]), tag=self.tags[i]) for i in np.argsort(-own, kind="stable")),
            )
            for start, said, own in zip(
                starts(length, frames=frames, count=self.how.excerpts),
                genres,
                torch.stack(shares).mean(dim=0).numpy(),
                strict=True,
            )
        )

    def _told(self, log_mels: Iterable[LogMelArray | None]) -> Iterator[ExcerptAnswers]:
        """Of each recording. The networks themselves hear one at a time on a processor, where more would not pay."""
        most = 1 if self.engine is None and self.device == "cpu" else _AT_ONCE
        for songs in _gathered((self._needed(log_mel) for log_mel in log_mels), most):
            told = self.hear(songs[0] if len(songs) == 1 else np.concatenate(songs))
            first = 0
            for song in songs:
                yield told[first : first + len(song)]
                first += len(song)

    def _needed(self, log_mel: LogMelArray | None) -> Excerpts:
        if log_mel is None:
            raise ModelError("A network answers by log-mels; this recording comes without one.")
        return self.excerpts(log_mel)

    def _settings(self) -> dict[str, Any]:
        first = self.networks[0]
        return {"network": to_dict(self.how), "places": 0 if first.place is None else first.place.out_features}

    def _save_weights(self, folder: Path) -> None:
        # By way of memory: given a path, torch writes the file's name into it, and equal weights would differ in bytes.
        content = io.BytesIO()
        torch.save([_on_cpu(network) for network in self.networks], content)
        with replacing(folder / "network.pt") as part:
            part.write_bytes(content.getvalue())
        if self.graph is not None:
            with replacing(folder / GRAPH) as part:
                part.write_bytes(self.graph)

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any], common: dict[str, Any], device: str) -> Self:
        """From a folder; called by `earmark.model.predictor.load_predictor`."""
        how = from_dict(Network, about["network"], where=f"{folder}/predictor.json: network")
        device = chosen_device(device)
        networks = []
        for weights in torch.load(folder / "network.pt", weights_only=True, map_location="cpu"):
            network = MusicNetwork(
                how,
                mels=common["frontend"].mels,
                classes=len(common["labels"]),
                tags=len(common["tags"]),
                places=about["places"],
            )
            network.load_state_dict(weights)
            networks.append(network.eval().to(device))
        graph = (folder / GRAPH).read_bytes() if (folder / GRAPH).is_file() else None
        return cls(**common, networks=tuple(networks), how=how, device=device, graph=graph)


def eager(networks: Iterable[Callable[[Tensor], Any]], excerpts: Excerpts, device: str) -> ExcerptAnswers:
    """What networks say of excerpts, asked as they are: what every engine has to say, too.

    Args:
        networks: Each as `MusicNetwork.forward`.
        excerpts: Shape ``(n, mels, frames)``.
        device: Where the networks compute.
    """
    with torch.inference_mode():
        there = torch.from_numpy(excerpts).to(device)
        told = [network(there) for network in networks]
        logits, tags = (torch.stack([one[part] for one in told]).cpu().numpy() for part in (0, 1))
        return ExcerptAnswers(logits, tags, told[0][2].cpu().numpy())


def chosen_device(device: str) -> str:
    """``auto`` as the GPU if there is one, else the processor; any other as it is."""
    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _on_cpu(network: MusicNetwork) -> dict[str, Tensor]:
    # A copy in the plain order: of some shapes torch calls two orders of strides contiguous, and would write either.
    plain = torch.contiguous_format
    return {name: value.detach().cpu().clone(memory_format=plain) for name, value in network.state_dict().items()}


def _together(told: ExcerptAnswers) -> tuple[Floats, Floats, Floats]:
    """Of a recording's excerpts: probabilities ``(labels,)``, shares ``(tags,)`` and embedding ``(dims,)``."""
    logs, shares = (torch.stack([each.mean(dim=0) for each in part]) for part in _logs_and_shares(told))
    place = torch.from_numpy(told.places.astype(np.float64)).mean(dim=0)
    return logs.mean(dim=0).softmax(dim=0).numpy(), shares.mean(dim=0).numpy(), place.numpy()


def _logs_and_shares(told: ExcerptAnswers) -> tuple[list[Tensor], list[Tensor]]:
    """Of each network, in double precision: log probabilities ``(n, labels)`` and shares ``(n, tags)``."""
    logits, tags = (torch.from_numpy(part.astype(np.float64)) for part in (told.logits, told.tags))
    return [each.log_softmax(dim=1) for each in logits], [each.sigmoid() for each in tags]


def _gathered(songs: Iterable[Excerpts], most: int) -> Iterator[list[Excerpts]]:
    """Recordings together, until they have ``most`` excerpts or more."""
    batch: list[Excerpts] = []
    for song in songs:
        batch.append(song)
        if sum(map(len, batch)) >= most:
            yield batch
            batch = []
    if batch:
        yield batch
