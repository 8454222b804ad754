"""A model by whatever name one has for it: version, alias, run, or a predictor's folder."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from earmark.adapters.shipping import download, present_location, ship
from earmark.errors import RegistryError
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

_LISTED = 10
COMPARISON = "comparison"  # the kind of runs that are no model's


@dataclass(frozen=True)
class Named:
    """A model that was found.

    Attributes:
        name: What it is for good: ``version 3``, ``run network 1a2b3c4``, ``models/network``.
        version: Its version in the registry, or None.
        run_id: The run that made it, or None.
        folder: Where it lies, if it was named by its folder.
        aliases: What it bears now.
    """

    name: str
    version: str | None = None
    run_id: str | None = None
    folder: Path | None = None
    aliases: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Its name and aliases: ``version 3 (champion)``."""
        return f"{self.name} ({', '.join(self.aliases)})" if self.aliases else self.name

    def fetch(self, client: "MlflowClient", params: Params, root: Path, into: Path) -> Path:
        """The folder with its predictor; copied into ``into`` unless it was named by its folder.

        Raises:
            RegistryError: Its artefacts hold no predictor.
        """
        if self.folder is not None:
            return self.folder
        if self.version is not None:
            return ship(client, params.registry.model, self.version, root, into).folder
        assert self.run_id is not None
        return _ship_run(client, self.run_id, root, into)


def find(client: "MlflowClient", params: Params, root: Path, name: str) -> Named:
    """The model called ``name``.

    Args:
        client: Of the registry.
        params: Names of registered model and experiment.
        root: The project's folder.
        name: A version's number; an alias, as ``@champion`` or ``champion``; a run's id or name; a predictor's folder,
            relative to where one is or to the project.

    Raises:
        RegistryError: There is none, and what there is; or several runs have this name.
    """
    if (folder := _folder(root, name)) is not None:
        return Named(name.rstrip("/"), folder=folder)
    aliases = aliases_of(client, params)
    if name.removeprefix("@") in aliases:
        return of_version(client, params, aliases[name.removeprefix("@")])
    if name.isdecimal() and any(str(found.version) == name for found in _versions(client, params)):
        return of_version(client, params, name)
    runs = [] if name.startswith("@") else list(_runs(client, params, f"attributes.run_name = '{_quoted(name)}'"))
    runs = runs or _run_of_id(client, params, name)
    if len(runs) == 1:
        return Named(f"run {runs[0].info.run_name}", run_id=runs[0].info.run_id)
    if runs:
        ids = ", ".join(run.info.run_id for run in runs)
        raise RegistryError(f"{len(runs)} runs are called {name!r}. Say which one by its id: {ids}.")
    raise RegistryError(f"There is no model {name!r}. {_there_is(client, params, aliases)}")


def of_version(client: "MlflowClient", params: Params, version: str) -> Named:
    """The model of a version that is there."""
    found = client.get_model_version(params.registry.model, version)
    bears = sorted(alias for alias, its in aliases_of(client, params).items() if its == version)
    return Named(f"version {version}", version=version, run_id=found.run_id or None, aliases=tuple(bears))


def aliases_of(client: "MlflowClient", params: Params) -> dict[str, str]:
    """Which version each alias is borne by; nothing where there is no registered model."""
    from mlflow.exceptions import MlflowException

    try:
        found = client.get_registered_model(params.registry.model)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return {}
    return {alias: str(version) for alias, version in found.aliases.items()}


def _ship_run(client: "MlflowClient", run_id: str, root: Path, into: Path) -> Path:
    """Copy the predictor that a run logged, registered or not, into the folder ``into``."""
    model = client.get_logged_model(client.get_run(run_id).outputs.model_outputs[0].model_id)
    uri = present_location(model.artifact_location, root)
    if not download(uri, root, into):
        raise RegistryError(
            f"The run {run_id} holds no predictor at {uri}. Its artefacts were removed, or it was logged by "
            "another program. Name another one."
        )
    return into


def _folder(root: Path, name: str) -> Path | None:
    for place in (Path(name), root / name):
        if (place / "predictor.json").is_file():
            return place.resolve()
    return None


def _versions(client: "MlflowClient", params: Params) -> list[Any]:
    return list(client.search_model_versions(f"name = '{_quoted(params.registry.model)}'"))


def pages(client: "MlflowClient", experiment: str, where: str = "", *, view: int = 1) -> Iterator[Any]:
    """An experiment's runs, newest first, however many: MLflow tells a thousand at a time.

    Args:
        client: Of the tracking server.
        experiment: Its id.
        where: As `MlflowClient.search_runs` takes it.
        view: `mlflow.entities.ViewType`: 1 for active runs, 3 for deleted ones, too.
    """
    order, token = ["attributes.start_time DESC"], None
    while True:
        page = client.search_runs([experiment], where, view, order_by=order, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _runs(client: "MlflowClient", params: Params, where: str = "") -> Iterator[Any]:
    """The experiment's runs that made a model, newest first."""
    experiment = client.get_experiment_by_name(params.registry.experiment)
    if experiment is not None:
        yield from (run for run in pages(client, experiment.experiment_id, where) if _made_a_model(run))


def _run_of_id(client: "MlflowClient", params: Params, name: str) -> list[Any]:
    """The run whose id ``name`` is, if it is one of the experiment's and made a model."""
    from mlflow.exceptions import MlflowException

    if not re.fullmatch("[0-9a-f]{32}", name):
        return []
    try:
        run = client.get_run(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return []
    experiment = client.get_experiment_by_name(params.registry.experiment)
    known = experiment is not None and run.info.experiment_id == experiment.experiment_id
    return [run] if known and run.info.lifecycle_stage == "active" and _made_a_model(run) else []


def _made_a_model(run: Any) -> bool:
    return bool(run.outputs and run.outputs.model_outputs)


def _quoted(name: str) -> str:
    return name.replace("'", "''")


def _there_is(client: "MlflowClient", params: Params, aliases: dict[str, str]) -> str:
    versions = sorted((str(found.version) for found in _versions(client, params)), key=int, reverse=True)
    shown = []
    for version in versions[:_LISTED]:
        bears = ", ".join(sorted(alias for alias, its in aliases.items() if its == version))
        shown.append(f"{version} ({bears})" if bears else version)
    runs = [str(run.info.run_name) for run in islice(_runs(client, params), _LISTED)]
    parts = [f"Versions of {params.registry.model!r}: {', '.join(shown) or 'none'}."]
    parts += [f"Runs of {params.registry.experiment!r}: {', '.join(runs) or 'none'}."]
    return " ".join([*parts, "A predictor's folder, such as models/network, will do too."])
