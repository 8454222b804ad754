"""What a newcomer said beside the champion, as a run in MLflow: one for each pair of versions, found again by a tag.

Many workers report to it, of several replicas, and start again. None knows of the others and none waits for another:
each keeps what it has summed up so far in a tag of its own, and whoever reports adds up all tags and logs the metrics,
with the number of recordings as their step. Reported twice, or by two at once, the numbers stay right.
"""

import csv
import io
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from earmark.adapters.named import pages
from earmark.adapters.recording import _experiment
from earmark.adapters.tracking import reaching
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

SHADOW = "shadow"  # the kind of these runs
_PAIR, _MADE_BY, _SUMS = "shadow.pair", "shadow.made_by", "shadow.sums."
_SETTLED_S = 300.0  # by then all who began at the same time have reported again
_NOTE = (
    "A newcomer answers recordings that the champion answers, too, behind the scenes. `agreement`: the share of them "
    "to which both give the same genre, with its interval (Wilson); `variation`: the total variation between their "
    "probabilities of genres; `appeal_difference`, `tags_difference`: mean absolute differences of shares of "
    "listeners; `newcomer_ms`, `champion_ms`: mean time to an answer, in which who answered the request waited "
    "for others, too, and measured tempo and key. The step is the number of recordings."
)


@dataclass(frozen=True)
class Sums:
    """Sums over recordings that both versions answered; they add up.

    Attributes:
        compared: Recordings.
        agreed: Of these, with the same genre.
        variation: Total variation between the two, in [0, 1] each.
        tagged, tags: Recordings of which both tell common tags; mean absolute difference of their shares.
        liked, appeal: The same for appeal.
        newcomer_timed, newcomer_s: Recordings of which it is known how long the newcomer took; seconds.
        champion_timed, champion_s: The same for the champion.
    """

    compared: int = 0
    agreed: int = 0
    variation: float = 0.0
    tagged: int = 0
    tags: float = 0.0
    liked: int = 0
    appeal: float = 0.0
    newcomer_timed: int = 0
    newcomer_s: float = 0.0
    champion_timed: int = 0
    champion_s: float = 0.0

    def __add__(self, other: "Sums") -> "Sums":
        return Sums(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def to_json(self) -> str:
        """For a tag."""
        return json.dumps({name: round(value, 6) for name, value in asdict(self).items()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Back from a tag; what another earmark wrote besides is left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in json.loads(text).items() if name in known})

    def metrics(self) -> dict[str, float]:
        """By name, as they are logged; one recording at least."""
        from earmark.model.calibration.reliability import wilson

        low, high = wilson(self.agreed, self.compared)
        found = {
            "compared": float(self.compared),
            "agreement": self.agreed / self.compared,
            "agreement_low": low,
            "agreement_high": high,
            "variation": self.variation / self.compared,
        }
        if self.tagged:
            found["tags_difference"] = self.tags / self.tagged
        if self.liked:
            found["appeal_difference"] = self.appeal / self.liked
        if self.newcomer_timed:
            found["newcomer_ms"] = 1000 * self.newcomer_s / self.newcomer_timed
        if self.champion_timed:
            found["champion_ms"] = 1000 * self.champion_s / self.champion_timed
        return found


@dataclass(frozen=True)
class Disagreement:
    """A recording to which the two give different genres; nothing by which anybody could be known."""

    content_hash: str
    newcomer: str
    newcomer_probability: float
    champion: str
    champion_probability: float


def report(
    params: Params,
    root: Path,
    *,
    version: str,
    against: str,
    worker: str,
    sums: Sums,
    examples: Sequence[Disagreement] = (),
) -> str:
    """Log what a worker has summed up so far, with what all others have.

    Args:
        params: Of the project.
        root: Its folder.
        version: The newcomer.
        against: The champion.
        worker: Names the worker, never the same again.
        sums: All that it has compared of this pair; one recording at least.
        examples: Disagreements among them.

    Returns:
        The run's id.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    with reaching(root) as client:
        experiment = _experiment(client, params, root)
        for last in (False, True):
            run_id = _run_of(client, params, experiment, version, against, worker)
            try:
                _tell(client, experiment, run_id, f"{version} beside {against}", worker, sums, examples)
                break
            except MlflowException as error:
                # Who had made this run beside another one has just removed it.
                if last or error.error_code != "INVALID_PARAMETER_VALUE":
                    raise
    return run_id


def _tell(
    client: "MlflowClient",
    experiment: str,
    run_id: str,
    pair: str,
    worker: str,
    sums: Sums,
    examples: Sequence[Disagreement],
) -> None:
    client.set_tag(run_id, f"{_SUMS}{worker}", sums.to_json())
    told: dict[str, Sums] = {}
    for run in _runs_of(client, experiment, pair):
        told |= {who: its for who, its in _sums_in(run).items() if its.compared > told.get(who, Sums()).compared}
    _log(client, run_id, sum(told.values(), Sums()))
    if examples:  # a table for each worker, so that none overwrites another's rows; MLflow's page shows it
        client.log_text(run_id, _table(examples), f"disagreements/{worker}.csv")
    client.set_terminated(run_id, "FINISHED")  # what is logged is whole; the next report goes on


def _run_of(client: "MlflowClient", params: Params, experiment: str, version: str, against: str, worker: str) -> str:
    """The pair's run; made if need be. Of several that were made at the same time it is the first, by its clock.

    Who made one of the others removes it, or if he is gone, whoever reports later; what was told to it goes to the
    first.
    """
    pair = f"{version} beside {against}"
    runs = _runs_of(client, experiment, pair)
    if not runs:
        made = client.create_run(
            experiment,
            run_name=f"shadow: version {version} beside {against}",
            tags={
                "kind": SHADOW,
                _PAIR: pair,
                _MADE_BY: worker,
                "version": version,
                "against": against,
                "mlflow.note.content": _NOTE,
                "mlflow.source.name": "earmark service",
                "mlflow.source.type": "LOCAL",
            },
        )
        for name, value in (("version", version), ("against", against), ("shadow_share", params.rollout.shadow_share)):
            client.log_param(made.info.run_id, name, value)
        runs = _runs_of(client, experiment, pair)
    first, known = runs[0].info.run_id, _sums_in(runs[0])
    for other in runs[1:]:
        old = time.time() - other.info.start_time / 1000 > _SETTLED_S
        if other.data.tags.get(_MADE_BY) != worker and not old:
            continue
        for its, sums in _sums_in(other).items():
            if sums.compared > known.get(its, Sums()).compared:
                client.set_tag(first, f"{_SUMS}{its}", sums.to_json())
        client.delete_run(other.info.run_id)
    return str(first)


def _runs_of(client: "MlflowClient", experiment: str, pair: str) -> list[Any]:
    """The pair's runs, the first one first."""
    found = pages(client, experiment, f"tags.`{_PAIR}` = '{pair}'")
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))


def _sums_in(run: Any) -> dict[str, Sums]:
    """What each worker has told to a run."""
    tags = run.data.tags
    return {tag.removeprefix(_SUMS): Sums.from_json(text) for tag, text in tags.items() if tag.startswith(_SUMS)}


def _log(client: "MlflowClient", run_id: str, total: Sums) -> None:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, total.compared) for name, value in total.metrics().items()]
    client.log_batch(run_id, metrics=metrics)


def _table(examples: Sequence[Disagreement]) -> str:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(each.name for each in fields(Disagreement))
    table.writerows(astuple(example) for example in examples)
    return text.getvalue()
