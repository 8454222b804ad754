"""How often test tracks were looked at: what is chosen on them again and again is in the end fitted to them.

Each comparison tells a little of the test tracks' labels, and who goes on by what it told (tries, keeps what scored
better, tries again) learns the test set itself; after many looks its scores flatter (Dwork et al., "The reusable
holdout", Science 349, 2015; Blum and Hardt, "The Ladder", ICML 2015). Nobody can see that in a score, but everybody can
count the looks.

A look is a comparison's run in MLflow: it lists the tracks that were really compared (`TRACKS`), so all who share a
server count together, and two at once count as two. The count is each track's own. One that comes or goes leaves the
others as worn as they were, and so does another `split.seed`: what both splits have in their test part keeps its count.
Two models that are compared again tell nothing new, so that is no further look. A run that was deleted was seen all the
same, and counts until MLflow forgets it; one whose list is gone cannot be counted.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from earmark.adapters.named import COMPARISON, pages
from earmark.adapters.shipping import present_location
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

TRACKS = "tracks.json"  # the artefact: a table with a column `content_hash`
PAIR, TEST_SET = "pair", "test_set"  # tags of a comparison's run


@dataclass(frozen=True)
class TestSet:
    """The test tracks that two models are compared on.

    Attributes:
        digest: Their name, 12 hexadecimal digits.
        tracks: How many there are.
        looks: So many pairs of models at least were compared on half of them or more, this pair included.
        worn: How many of them more than `gates.max_looks` pairs were compared on.
    """

    digest: str
    tracks: int
    looks: int = 0
    worn: int = 0

    __test__ = False  # pytest, too, collects by name


def digest_of(tested: pd.DataFrame) -> str:
    """Names test tracks by recordings and labels, whatever their order: columns ``content_hash``, ``genre``."""
    rows = sorted(zip(tested["content_hash"].astype(str), tested["genre"].astype(str), strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]


def looked_at(
    client: "MlflowClient", params: Params, root: Path, tested: pd.DataFrame, pair: str | None = None
) -> TestSet:
    """How often the tracks ``tested`` were looked at.

    Args:
        client: Of the tracking server.
        params: Of the project.
        root: Its folder.
        tested: What is compared, no more; columns ``content_hash`` and ``genre``.
        pair: Names two models that are being compared; this look is counted too, unless it is an old one.
    """
    pairs: dict[str, set[str]] = {track: set() if pair is None else {pair} for track in tested["content_hash"]}
    for tracks, looked in _looks(client, params, root):
        for track in tracks & pairs.keys():
            pairs[track] |= looked
    counts = sorted(len(each) for each in pairs.values())
    return TestSet(
        digest=digest_of(tested),
        tracks=len(tested),
        looks=counts[len(counts) // 2] if counts else 0,
        worn=sum(count > params.gates.max_looks for count in counts),
    )


def pair_of(one: str, other: str) -> str:
    """Names two models, in any order the same."""
    return hashlib.sha256(" ".join(sorted((one, other))).encode()).hexdigest()[:8]


def warnings_about(test_set: TestSet, left_out: int, params: Params) -> tuple[str, ...]:
    """What is to be said about test tracks that are worn; nothing where none is.

    Args:
        test_set: What was compared.
        left_out: How many more there are, that one of the two was trained on.
        params: Of the project.
    """
    worn, tracks = test_set.worn, test_set.tracks
    if not worn:
        return ()
    told = (
        f"{worn} of the {tracks} test tracks compared are worn: more than gates.max_looks = {params.gates.max_looks} "
        f"pairs of models were compared on each. Who chose by them may have fitted their choices to these tracks, and "
        f"scores on them flatter. {'None is' if worn == tracks else f'{tracks - worn} are'} fresh."
    )
    if 2 * worn < tracks:
        return (told,)
    return (f"{told} {_under_way(left_out) if left_out > tracks else _remedy(params)}",)


def _remedy(params: Params) -> str:
    return (
        f"Draw fresh ones: set split.seed in params.yaml to another number than {params.split.seed}, leave the rest "
        "as it is, and run the flow `training`: it trains the same recipes on the new split. The champion knows most "
        "of the new test tracks, so the first model of the new split is promoted by your word: `earmark promote "
        '--because "a fresh test set"`. Best of all is new music: `earmark import`.'
    )


def _under_way(left_out: int) -> str:
    return (
        f"The split was drawn anew, but {left_out} of its test tracks are left out, because one of the two was trained "
        'on them. `earmark promote --because "a fresh test set"` makes a model of the new split champion; from then on '
        "they count. `earmark compare challenger baseline` says before what it is worth on all of them."
    )


def _looks(client: "MlflowClient", params: Params, root: Path) -> Iterator[tuple[frozenset[str], set[str]]]:
    """For each test set of earlier comparisons its tracks, and the pairs of models that were compared on it."""
    experiment = client.get_experiment_by_name(params.registry.experiment)
    if experiment is None:
        return
    from mlflow.entities import ViewType

    runs: dict[str, list[Any]] = defaultdict(list)
    where = f"attributes.status = 'FINISHED' and tags.kind = '{COMPARISON}'"
    for run in pages(client, experiment.experiment_id, where, view=ViewType.ALL):
        if PAIR in run.data.tags:
            runs[run.data.tags[TEST_SET]].append(run)
    for its in runs.values():
        listed = (_tracks(run, root) for run in its)  # all list the same: one that can be had is enough
        tracks = next((each for each in listed if each is not None), frozenset[str]())
        yield tracks, {run.data.tags[PAIR] for run in its}


def _tracks(run: Any, root: Path) -> frozenset[str] | None:
    """The recordings that a comparison's run lists; None where the list is gone."""
    import mlflow
    from mlflow.exceptions import MlflowException

    uri = f"{present_location(run.info.artifact_uri, root)}/{TRACKS}"
    try:
        table: Mapping[str, Any] = json.loads(mlflow.artifacts.load_text(uri))
    except (MlflowException, OSError):
        return None
    column = table["columns"].index("content_hash")
    return frozenset(row[column] for row in table["data"])
