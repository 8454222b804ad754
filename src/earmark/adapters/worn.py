"""How often a test set was looked at: what is chosen on it again and again is in the end fitted to it.

Each comparison tells a little of the test set's labels, and who goes on by what it told (tries, keeps what scored
better, tries again) learns the test set itself; after many looks its scores flatter (Dwork et al., "The reusable
holdout", Science 349, 2015; Blum and Hardt, "The Ladder", ICML 2015). Nobody can see that in a score, but everybody can
count the looks. They are counted with the registered model, so that all machines that share a registry count together.

A test set is named by the digest of its recordings and labels. A track that comes or goes makes another one, whose
count begins at 0, although most of it may have been looked at: the count is a lower bound. Two models that are compared
again tell nothing new, so that is no further look.
"""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pandas as pd

from earmark.adapters.tracking import unless_there
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

# PostgreSQL takes 5,000 characters in such a tag; pairs before these are forgotten, the count is not.
_PAIRS_KEPT = 300
DESCRIPTION = "Says what a piece of music is. The alias `champion` is in service."


@dataclass(frozen=True)
class TestSet:
    """A test set by name.

    Attributes:
        digest: 12 hexadecimal digits.
        tracks: How many it has.
        looks: How many pairs of models were compared on it, this one included.
    """

    digest: str
    tracks: int
    looks: int = 0

    __test__ = False  # pytest, too, collects by name


def digest_of(tested: pd.DataFrame) -> str:
    """Names the test set by its recordings and labels, whatever their order: columns ``content_hash``, ``genre``."""
    rows = sorted(zip(tested["content_hash"].astype(str), tested["genre"].astype(str), strict=True))
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:12]


def look(client: "MlflowClient", name: str, tested: pd.DataFrame, pair: str) -> TestSet:
    """Count a look at the test set ``tested`` by two models.

    Two machines that look at the same moment may be counted as one.

    Args:
        client: Of the registry.
        name: The registered model; it is made where there is none yet.
        tested: The whole test set, also what one of the two was trained on; columns ``content_hash`` and ``genre``.
        pair: Names the two models, in any order the same.
    """
    with unless_there():
        client.create_registered_model(name, description=DESCRIPTION)
    digest = digest_of(tested)
    known = _known(client, name, digest)
    pairs: list[str] = known.get("pairs", "").split()
    if pair not in pairs:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        known = {
            "looks": known.get("looks", 0) + 1,
            "tracks": len(tested),
            "first": known.get("first", now),
            "last": now,
            "pairs": " ".join([*pairs, pair][-_PAIRS_KEPT:]),
        }
        client.set_registered_model_tag(name, _tag(digest), json.dumps(known))
    return TestSet(digest, len(tested), int(known["looks"]))


def looks_at(client: "MlflowClient", name: str, tested: pd.DataFrame) -> int:
    """How often the test set ``tested`` was looked at so far."""
    return int(_known(client, name, digest_of(tested)).get("looks", 0))


def pair_of(one: str, other: str) -> str:
    """Names two models, in any order the same."""
    return hashlib.sha256(" ".join(sorted((one, other))).encode()).hexdigest()[:8]


def warnings_about(test_set: TestSet, params: Params) -> tuple[str, ...]:
    """What is to be said about a test set that is worn; nothing otherwise."""
    if test_set.looks <= params.gates.max_looks:
        return ()
    return (
        f"Test set {test_set.digest} is worn: {test_set.looks} pairs of models were compared on it, more than "
        f"gates.max_looks = {params.gates.max_looks}. Who chose by them may have fitted their choices to its "
        f"{test_set.tracks} tracks, and its scores flatter. Draw a fresh one: set split.seed in params.yaml to another "
        f"number than {params.split.seed}, and `dvc repro`. Other artists are test then, and the count begins at 0. "
        "Until a model that was trained on the new split is champion, comparisons leave out the tracks that the old "
        "one was trained on. Best of all is new music: `earmark import`.",
    )


def _known(client: "MlflowClient", name: str, digest: str) -> dict[str, Any]:
    from mlflow.exceptions import MlflowException

    try:
        told = client.get_registered_model(name).tags.get(_tag(digest))
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return dict(json.loads(told)) if told else {}


def _tag(digest: str) -> str:
    return f"test_set.{digest}"
