"""The gate: challenger and champion hear the same test tracks, and `earmark.model.comparing.promotion` decides."""

from pathlib import Path
from typing import TYPE_CHECKING

from earmark.adapters.comparing import OneModel, Unreadable, compare_on_test_tracks, log
from earmark.adapters.events import rolled_back
from earmark.adapters.named import aliases_of, find, of_version
from earmark.adapters.registry import note_verdict
from earmark.adapters.tracking import reaching
from earmark.errors import RegistryError
from earmark.model.comparing.promotion import Verdict, identical, incomparable, judge, unreadable
from earmark.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient


def compare(params: Params, root: Path, version: str | None = None) -> Verdict:
    """Compare `challenger` with `champion` on the test tracks of now, and note the verdict on version and run.

    Tracks that one of the two was trained on are left out. Without a champion the challenger has to beat the majority
    class of the training tracks.

    Args:
        params: Section ``gates`` says what is needed.
        root: The project's folder.
        version: Number or alias of the version to judge in place of the challenger.

    Raises:
        RegistryError: There is no challenger or no such version, or MLflow cannot be reached.
    """
    with reaching(root) as client:
        aliases = aliases_of(client, params)
        champion = aliases.get("champion")
        judged = _version(client, params, root, version, aliases)
        if judged == champion:
            reason = f"Version {judged} is the champion already: nothing has changed since."
            return Verdict(promote=False, reason=reason, challenger=judged, champion=champion)
        return _judged(client, params, root, judged, champion)


def _version(client: "MlflowClient", params: Params, root: Path, asked: str | None, aliases: dict[str, str]) -> str:
    if asked is not None:
        found = find(client, params, root, asked)
        if found.version is None:
            raise RegistryError(
                f"{asked!r} is no version of {params.registry.model!r}, and only versions can be promoted. The flow "
                "`training` registers what it trains; `earmark history` lists the versions."
            )
        return found.version
    if "challenger" not in aliases:
        raise RegistryError(
            f"No version of {params.registry.model!r} is the challenger. Register one: the flow `training` does, or "
            "`earmark demo`."
        )
    return aliases["challenger"]


def _judged(client: "MlflowClient", params: Params, root: Path, version: str, champion: str | None) -> Verdict:
    ours = of_version(client, params, version)
    theirs = of_version(client, params, champion) if champion is not None else None
    try:
        compared = compare_on_test_tracks(client, params, root, ours, theirs)
    except OneModel:
        verdict = identical(version=version, champion=champion or "")
        note_verdict(params, root, verdict)
        return verdict
    except Unreadable as error:
        if error.model is not theirs:
            raise
        # An older earmark made the champion. Nobody can compare with it, so somebody has to decide.
        verdict = unreadable(version=version, champion=champion or "", why=str(error))
        note_verdict(params, root, verdict)
        return verdict
    if compared.comparison is None:
        verdict = incomparable(
            version=version,
            champion=champion,
            tracks=compared.tracks,
            groups=compared.groups,
            left_out=compared.left_out,
            warnings=compared.warnings,
        )
    else:
        verdict = judge(
            compared.comparison,
            params.gates,
            version=version,
            champion=champion,
            left_out=compared.left_out,
            worn=compared.test_set.worn,
            rolled_back=rolled_back(client, params.registry.model, version),
            warnings=compared.warnings,
        )
    run_id = log(client, params, root, compared, verdict)
    note_verdict(params, root, verdict, test_set=compared.test_set.digest, run_id=run_id)
    return verdict
