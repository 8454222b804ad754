"""The gate: challenger and champion hear the same test tracks, and `earmark.model.promotion` decides."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from earmark.adapters.registry import alias_version, fetch, note_verdict
from earmark.errors import RegistryError
from earmark.model.promotion import Verdict, judge, right
from earmark.params import Params
from earmark.workspace import CATALOGUE, SPLITS

if TYPE_CHECKING:
    from earmark.model.predictor import ForestPredictor, NetworkPredictor


def compare(params: Params, root: Path) -> Verdict:
    """Compare `challenger` with `champion` on the test tracks of now, and note the verdict on version and run.

    Tracks that one of the two was trained on are left out. Without a champion the challenger has to beat the majority
    class of the training tracks.

    Raises:
        RegistryError: There is no challenger, or MLflow cannot be reached.
    """
    version, champion = (alias_version(params, root, alias) for alias in ("challenger", "champion"))
    if version is None:
        raise RegistryError(
            f"No version of {params.registry.model!r} is the challenger. Register one: the flow `training` does, or "
            "`earmark demo`."
        )
    if version == champion:
        reason = f"Version {version} is the champion already: nothing has changed since."
        return Verdict(promote=False, reason=reason, challenger=version, champion=champion)
    verdict = _judged(params, root, version, champion)
    note_verdict(params, root, verdict)
    return verdict


def _judged(params: Params, root: Path, version: str, champion: str | None) -> Verdict:
    tracks = pd.read_parquet(root / SPLITS)
    tested, trained = tracks[tracks["split"] == "test"], tracks[tracks["split"] == "train"]
    catalogue = pd.read_parquet(root / CATALOGUE).drop(columns=["split", "group", "genre"])
    tested = tested.merge(catalogue, on="track_id", validate="one_to_one")

    with tempfile.TemporaryDirectory(prefix="earmark-gate-") as folder:
        models = {"challenger": _load(params, root, "challenger", Path(folder))}
        if champion is not None:
            models["champion"] = _load(params, root, "champion", Path(folder))
        heard = frozenset[str]().union(*(model.trained_on for model in models.values()))
        fresh = tested[~tested["content_hash"].isin(heard)].reset_index(drop=True)
        answers = {alias: _right(model, fresh, root) for alias, model in models.items()}

    if champion is None:
        majority = trained["genre"].value_counts().idxmax()
        answers["champion"] = (fresh["genre"] == majority).to_numpy(dtype=np.bool_)
        unknown: set[str] = set()
    else:
        unknown = set(fresh["genre"]) - set(models["champion"].labels)
    return judge(
        answers["challenger"],
        answers["champion"],
        list(fresh["group"]),
        params.evaluation,
        version=version,
        champion=champion,
        left_out=len(tested) - len(fresh),
        unanswerable=sorted(unknown),
    )


def _load(params: Params, root: Path, alias: str, folder: Path) -> "NetworkPredictor | ForestPredictor":
    from earmark.model.predictor import load_predictor

    return load_predictor(fetch(params, root, alias, folder / alias).folder)


def _right(
    model: "NetworkPredictor | ForestPredictor", tracks: pd.DataFrame, root: Path
) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    from earmark.model.scoring import probabilities_of

    return right(probabilities_of(model, tracks, root), model.labels, list(tracks["genre"]))
