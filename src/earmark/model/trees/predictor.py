"""Trees on descriptors as a predictor: the honest baseline."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from earmark.audio.descriptors import descriptor_names
from earmark.errors import ModelError
from earmark.files import replacing
from earmark.model.answers import Answers, Floats, Inputs
from earmark.model.predictor import Predictor
from earmark.model.trees.walking import Walk, suits, walked


@dataclass(frozen=True)
class ForestPredictor(Predictor):
    """Trees on descriptors of the whole recording.

    Attributes:
        forest: A classifier of scikit-learn, classes 0 … len(labels) − 1.
        tag_forest: A regressor with an output for each tag; None where there are no tags.
        chosen: Names of the descriptors it was fitted to; empty: all of them.
    """

    forest: Any
    tag_forest: Any = None
    chosen: tuple[str, ...] = field(default=(), kw_only=True)

    kind = "forest"
    needs_descriptors = True

    def raw(self, inputs: Sequence[Inputs]) -> Answers:
        """As `Predictor.raw`, of descriptors; all of them, chosen or not, are the embedding."""
        if any(each.descriptors is None for each in inputs):
            raise ModelError("A forest answers by descriptors; a recording comes without them.")
        return self.of_descriptors(np.stack([each.descriptors for each in inputs if each.descriptors is not None]))

    def of_descriptors(self, table: Floats) -> Answers:
        """Answers before calibration, of descriptors of shape ``(tracks, descriptors)``, all of them."""
        heard = columns(table, self.chosen)
        genres_of, shares_of = self._walks if suits(heard) else (None, None)
        genres = np.asarray((genres_of or self.forest.predict_proba)(heard), dtype=np.float64)
        shares = np.zeros((len(table), 0))
        if self.tag_forest is not None:
            shares = np.asarray((shares_of or self.tag_forest.predict)(heard), dtype=np.float64).reshape(len(table), -1)
        return Answers(genres, shares.clip(0.0, 1.0), table)

    @cached_property
    def _walks(self) -> tuple[Walk | None, Walk | None]:
        """Of both forests; None of what is none."""
        return walked(self.forest), walked(self.tag_forest)

    def _settings(self) -> dict[str, Any]:
        return {"descriptors": list(self.chosen)}

    def _save_weights(self, folder: Path) -> None:
        import joblib

        with replacing(folder / "forest.joblib") as part:
            joblib.dump((self.forest, self.tag_forest), part, compress=3)

    @classmethod
    def load(cls, folder: Path, about: dict[str, Any], common: dict[str, Any], device: str) -> Self:
        """From a folder; called by `earmark.model.predictor.load_predictor`."""
        import joblib

        forest, tag_forest = joblib.load(folder / "forest.joblib")
        return cls(**common, forest=forest, tag_forest=tag_forest, chosen=tuple(about["descriptors"]))


def columns(table: Floats, chosen: Sequence[str]) -> Floats:
    """The chosen descriptors of ``table``, shape ``(tracks, chosen)``; all of them where none is named."""
    if not chosen:
        return table
    places = {name: place for place, name in enumerate(descriptor_names())}
    return table[:, [places[name] for name in chosen]]
