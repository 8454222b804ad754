"""The registry: versions of one model, and the aliases that say what each is for.

`champion` is in service, `previous` was before it, `challenger` stands for promotion, `baseline` is the forest of the
same pipeline run, or the network where the forest is the challenger. Aliases move; versions never change.
"""

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from earmark.adapters.events import Event, add_event, now, undisturbed
from earmark.adapters.recording import record
from earmark.adapters.shipping import ChampionInfo, export, ship
from earmark.adapters.tracking import DATABASE, embedded, reaching, unless_there
from earmark.errors import RegistryError
from earmark.files import read_json
from earmark.model.comparing.promotion import Verdict
from earmark.model.evaluation.choosing import best_by
from earmark.params import Params
from earmark.workspace import METRICS, MODELS, RUN

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

# Where a tag of the run is carried over to the version, so that the way back is seen without a further look.
_LINEAGE = (
    "kind",
    "fingerprint",
    "git.commit",
    "git.dirty",
    "data.collection",
    "data.collection_md5",
    "data.catalogue_md5",
    "data.splits_md5",
    "prefect.flow_run_id",
)

DESCRIPTION = "Says what a piece of music is. The alias `champion` is in service."
_RUN_TAG = 8000  # characters that MLflow takes in a tag of a run


def register_challenger(params: Params, root: Path) -> str:
    """Register two of the recorded runs: the best model as `challenger`, the forest (else the network) as `baseline`.

    The best is the one of the lowest log loss on held-out songs, which no model was fitted to that answered them. Test
    tracks have no say in the choice, so that the comparison on them stays honest. Runs that are registered keep their
    version.

    Returns:
        The challenger's version.

    Raises:
        RegistryError: Nothing was recorded, or MLflow cannot be reached.
    """
    if not (root / METRICS).is_file():
        raise RegistryError(f"There is no {METRICS} to register a model by. `dvc repro` trains, evaluates and records.")
    scores = read_json(root / METRICS)
    runs = _recorded(params, root)
    # The commonest genre has a score on held-out songs, too, and is no model.
    held_out = {kind: found for kind, found in scores["held_out"].items() if kind in MODELS}
    best = best_by(held_out, otherwise="network")
    baseline = "network" if best == "forest" else "forest"
    with reaching(root) as client:
        with unless_there():
            client.create_registered_model(params.registry.model, description=DESCRIPTION)
        version = ""
        for alias, kind in (("baseline", baseline), ("challenger", best)):  # the challenger last: the highest number
            version = _version_of(client, params.registry.model, runs[kind], scores[kind])
            client.set_registered_model_alias(params.registry.model, alias, version)
    return version


def promote(
    params: Params,
    root: Path,
    version: str,
    verdict: Verdict,
    *,
    because: str | None = None,
    by: str | None = None,
) -> None:
    """Make ``version`` the champion, keep the old one as `previous`, and export the new one to models/champion.

    It is fetched before anything changes, so that a version that cannot be had is never promoted; the aliases move last
    of all, and Ctrl-C waits until they have.

    Args:
        params: Of the project.
        root: Its folder.
        version: What is promoted.
        verdict: The gates' decision; what it failed at is recorded.
        because: Why it is promoted, where that is not the verdict's reason.
        by: Who promotes it, if that shall be known.

    Raises:
        RegistryError: There is no such version, the champion is another one than the verdict is about, or MLflow
            cannot be reached.
    """
    name = params.registry.model
    with tempfile.TemporaryDirectory(prefix="earmark-promotion-") as folder, reaching(root) as client:
        info = ship(client, name, version, root, Path(folder))
        old = _aliased(client, name, "champion")
        before = str(old.version) if old is not None else None
        if verdict.gates and before not in (verdict.champion, version):
            raise RegistryError(
                f"Version {version} was compared with {_called(verdict.champion)}, but meanwhile {_called(before)} is "
                "champion: somebody promoted or rolled back. Compare again: `earmark promote`, or the flow `training`."
            )
        happened = Event(
            "promoted",
            because=because or verdict.reason,
            by=by,
            despite=tuple(gate.name for gate in verdict.failed),
            other=before if before != version else None,
        )
        promotion = {"promoted.at": happened.at, "promoted.because": happened.because or ""}
        with undisturbed():
            export(client, name, info, root, happened.at, promotion)
            add_event(client, name, version, happened)
            for tag, value in promotion.items():
                client.set_model_version_tag(name, version, tag, value)
            if before is not None and before != version:
                client.set_registered_model_alias(name, "previous", before)
            client.set_registered_model_alias(name, "champion", version)


def rollback(params: Params, root: Path, *, because: str | None = None, by: str | None = None) -> str:
    """Put the previous champion back; the one that was in service becomes `previous`.

    Args:
        params: Of the project.
        root: Its folder.
        because: Why.
        by: Who does it, if that shall be known.

    Returns:
        The version that is champion now.

    Raises:
        RegistryError: There is no previous champion, or MLflow cannot be reached.
    """
    name = params.registry.model
    with tempfile.TemporaryDirectory(prefix="earmark-rollback-") as folder, reaching(root) as client:
        champion, previous = _aliased(client, name, "champion"), _aliased(client, name, "previous")
        if champion is None or previous is None or champion.version == previous.version:
            raise RegistryError(
                f"There is no earlier champion of {name!r} to go back to: only a second promotion leaves one. "
                "`earmark demo`, or the flow `training`, promotes when a new model is better; `earmark history` lists "
                "what was promoted, and `earmark promote` makes any version champion."
            )
        left, back = str(champion.version), str(previous.version)
        info = ship(client, name, back, root, Path(folder))
        with undisturbed():
            at = now()
            export(client, name, info, root, at)
            add_event(client, name, left, Event("rolled back", at=at, because=because, by=by, other=back))
            add_event(client, name, back, Event("put back", at=at, because=because, by=by, other=left))
            client.set_registered_model_alias(name, "previous", left)
            client.set_registered_model_alias(name, "champion", back)
    return info.version


def champion_version(params: Params, root: Path) -> str | None:
    """The champion's version, or None where there is none. One question to the registry, fit to be asked often.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    if embedded(root) and not (root / DATABASE).is_file():
        return None  # asking would make one
    with reaching(root) as client:
        champion = _aliased(client, params.registry.model, "champion")
    return None if champion is None else str(champion.version)


def fetch_champion(params: Params, root: Path, into: Path) -> ChampionInfo:
    """Copy the champion's predictor into the folder ``into``.

    Raises:
        RegistryError: There is no champion, its artefacts are gone, or MLflow cannot be reached.
    """
    return fetch(params, root, "champion", into)


def fetch(params: Params, root: Path, alias: str, into: Path) -> ChampionInfo:
    """Copy the predictor of the version that bears ``alias`` into the folder ``into``.

    Raises:
        RegistryError: No version bears it, its artefacts are gone, or MLflow cannot be reached.
    """
    with reaching(root) as client:
        found = _aliased(client, params.registry.model, alias)
        if found is None:
            raise RegistryError(
                f"No version of {params.registry.model!r} is the {alias}. `earmark demo`, or the flow `training`, "
                "registers a model and promotes it when it is better."
            )
        return ship(client, params.registry.model, str(found.version), root, into)


def alias_version(params: Params, root: Path, alias: str) -> str | None:
    """The version that bears ``alias``, or None.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    with reaching(root) as client:
        found = _aliased(client, params.registry.model, alias)
    return None if found is None else str(found.version)


def tags_of(params: Params, root: Path, version: str) -> dict[str, str]:
    """The tags of a version; empty where there is none of that number.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    if not version.isdecimal():
        return {}
    with reaching(root) as client:
        try:
            return dict(client.get_model_version(params.registry.model, version).tags)
        except MlflowException as error:
            if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                return {}
            raise


def note_verdict(
    params: Params, root: Path, verdict: Verdict, *, test_set: str | None = None, run_id: str | None = None
) -> None:
    """Write the gates' verdict where people look for it: on the challenger's version and on its run.

    Tags: `verdict` and `verdict.…`; for each gate `gate.NAME`; all gates as JSON, `verdict.gates`.

    Args:
        params: Of the project.
        root: Its folder.
        verdict: Of the challenger.
        test_set: The digest of the test set.
        run_id: The run that has the whole comparison.

    Raises:
        RegistryError: MLflow cannot be reached.
    """
    tags = {
        "verdict": "promote" if verdict.promote else "keep",
        "verdict.reason": verdict.reason,
        "verdict.compared_with": f"version {verdict.champion}" if verdict.champion else verdict.opponent,
        "verdict.gates": json.dumps([asdict(gate) for gate in verdict.gates], ensure_ascii=False),
    }
    if verdict.difference:
        tags["verdict.difference"] = (
            f"{verdict.difference.value:+.4f} [{verdict.difference.low:+.4f}, {verdict.difference.high:+.4f}]"
        )
    optional = {
        "verdict.test_set": test_set,
        "verdict.comparison": run_id,
        "verdict.warning": " ".join(verdict.warnings),
    }
    tags |= {tag: value for tag, value in optional.items() if value}
    for gate in verdict.gates:
        state = "passed" if gate.passed else "failed"
        tags[f"gate.{gate.name}"] = f"{state}: found {gate.found}, needed {gate.needed} ({gate.why})"
    name = params.registry.model
    with reaching(root) as client:
        version = client.get_model_version(name, verdict.challenger)
        # What an earlier verdict said of a gate that this one did not come to.
        for tag in [tag for tag in version.tags if tag.startswith(("gate.", "verdict")) and tag not in tags]:
            client.delete_model_version_tag(name, verdict.challenger, tag)
        for tag, value in tags.items():
            client.set_model_version_tag(name, verdict.challenger, tag, value)
            if version.run_id:
                client.set_tag(version.run_id, tag, value[:_RUN_TAG])


def _recorded(params: Params, root: Path) -> dict[str, dict[str, str]]:
    """Run and model of each kind. Where this MLflow does not know them (a clone, another server) they are recorded."""
    if not (root / RUN).is_file() or not _known(root):
        record(params, root)
    told = read_json(root / RUN)
    return {kind: told[kind] for kind in MODELS}


def _known(root: Path) -> bool:
    from mlflow.exceptions import MlflowException

    told = read_json(root / RUN)
    with reaching(root) as client:
        try:
            runs = [client.get_run(told[kind]["run_id"]) for kind in MODELS]
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
    return all(run.info.lifecycle_stage == "active" and run.info.status == "FINISHED" for run in runs)


def _version_of(client: "MlflowClient", name: str, recorded: dict[str, str], scores: dict[str, float]) -> str:
    """The version of a recorded run; registered now where it is not yet."""
    run_id = recorded["run_id"]
    known = [
        found
        for found in client.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
        if found.status == "READY"
    ]
    if known:
        return str(min(known, key=lambda found: int(found.version)).version)
    run = client.get_run(run_id)
    tags = {tag: run.data.tags[tag] for tag in _LINEAGE if tag in run.data.tags}
    # Without held-out songs there is no accuracy on them.
    told = ("validation_accuracy", "accuracy", "accuracy_low", "accuracy_high", "f1_macro")
    tags |= {score: f"{scores[score]:.4f}" for score in told if score in scores}
    made = client.create_model_version(
        name,
        source=f"models:/{recorded['model_id']}",
        run_id=run_id,
        model_id=recorded["model_id"],
        tags=tags,
        await_creation_for=0,  # it is ready at once; waiting would only be announced
        description=f"The {run.data.tags['kind']} of run {run.info.run_name}: accuracy {scores['accuracy']:.3f} "
        f"[{scores['accuracy_low']:.3f}, {scores['accuracy_high']:.3f}] on the test tracks of its time.",
    )
    return str(made.version)


def _called(version: str | None) -> str:
    return f"version {version}" if version else "no version"


def _aliased(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, alias)
    except MlflowException as error:
        # No such alias, and no such model.
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise
