"""DVC: which bytes, and what is stale. Everything that earmark says to it or reads from it goes through here.

Commands run as the `dvc` of this environment, so that what happens is what you would see when typing them. Only the
graph is read through DVC's internal `Repo().index.graph`; the lock pins the version and tests hold the shape.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from earmark.adapters import processes
from earmark.adapters.processes import OnLine
from earmark.errors import ToolError

_CATALOGUE_STAGES = ("validate", "duplicates")
_UNSAVED = "Can't remove the following unsaved files"


class StageOutcome(Enum):
    """What `dvc repro` did about a stage."""

    RAN = "ran"
    SKIPPED = "skipped"
    CACHED = "cached"


@dataclass(frozen=True)
class Stage:
    """One node of DVC's graph: ``name`` as `dvc repro` takes it, ``needs`` the names of what it is made from."""

    name: str
    needs: tuple[str, ...]


def graph(root: Path) -> list[Stage]:
    """What `dvc repro` would go through in ``root``, in an order in which it can run.

    A stage of another dvc.yaml is among them only where root's own stages need what it makes; so is a ``.dvc`` file.

    Raises:
        ToolError: ``root`` is no DVC project, or its dvc.yaml cannot be read.
    """
    check_project(root)
    import networkx  # type: ignore[import-untyped]
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.repo.reproduce import get_active_graph

    try:
        with Repo(str(root)) as repo:
            whole = get_active_graph(repo.index.graph)  # an edge leads from a stage to what it needs
            own = [node for node in repo.index.stages if Path(node.path) == root.resolve() / "dvc.yaml"]
            order = dict.fromkeys(node for start in own for node in networkx.dfs_postorder_nodes(whole, start))
            return [
                Stage(_name(node, root), tuple(_name(need, root) for need in whole.successors(node))) for node in order
            ]
    except DvcException as error:
        raise ToolError(
            f"DVC cannot read the pipeline in {root}: {error} Mend it; `dvc dag` shows what it reads."
        ) from error


def graph_of(root: Path, *names: str) -> list[str]:
    """The stages ``names`` and what they are made from, in an order in which they can run.

    What the catalogue is made from is left out: whoever wants these brings the catalogue.

    Raises:
        ToolError: As `graph`.
    """
    needs = {stage.name: stage.needs for stage in graph(root)}
    left_out = set(_CATALOGUE_STAGES)
    for name in _CATALOGUE_STAGES:
        left_out.update(need for need in needs.get(name, ()) if need.endswith(".dvc"))  # the collection as it came
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted and name not in left_out:
            wanted.add(name)
            waiting += needs[name]
    return [name for name in needs if name in wanted]


def stages(root: Path) -> list[str]:
    """The names of `graph`, in the same order."""
    return [stage.name for stage in graph(root)]


def repro(root: Path, *targets: str, on_line: OnLine | None = None, timeout_s: float | None = None) -> None:
    """Rebuild ``targets`` (the whole pipeline without any) and what they need.

    Raises:
        ToolError: A stage failed; its last lines are in the text.
    """
    _dvc(root, "repro", *targets, on_line=on_line, timeout_s=timeout_s, remedy="Mend what the stage says, then repeat.")


def is_current(root: Path) -> bool:
    """Whether `dvc repro` would find nothing to do.

    Raises:
        ToolError: ``root`` is no DVC project, or its pipeline cannot be read.
    """
    check_project(root)
    call = [*processes.program("dvc"), "--wait-for-lock", "status", "--quiet", "--with-deps", "dvc.yaml"]
    finished = processes.run(call, cwd=root, on_line=_ignore)
    if finished.exit_code not in (0, 1):
        raise processes.failure(call, finished, "`dvc status` repeats this.")
    return finished.exit_code == 0


def run_stage(
    root: Path,
    name: str,
    *,
    on_line: OnLine | None = None,
    timeout_s: float | None = None,
    force: bool = False,
    env: Mapping[str, str] | None = None,
) -> StageOutcome:
    """Rebuild this one stage if it is stale; what it needs has to be there.

    Args:
        root: The project's folder.
        name: As `graph` has it.
        on_line: Called with each line that DVC and the stage write.
        timeout_s: After this many seconds it is ended.
        force: Rebuild it in any case.
        env: For the stage to find in its environment.

    Raises:
        TimedOut: ``timeout_s`` have passed; the stage was ended with all its children.
        ToolError: The stage failed; its last lines are in the text.
    """
    said = {
        f"Running stage '{name}':": StageOutcome.RAN,
        f"Stage '{name}' didn't change, skipping": StageOutcome.SKIPPED,
        f"'{name}' didn't change, skipping": StageOutcome.SKIPPED,
        f"Stage '{name}' is cached - skipping run, checking out outputs": StageOutcome.CACHED,
    }
    outcome: StageOutcome | None = None

    def listen(line: str) -> None:
        nonlocal outcome
        outcome = outcome or said.get(line)  # DVC speaks before the stage does: a stage's own output cannot overrule it
        if on_line is not None:
            on_line(line)

    options = ["--single-item", *(["--force"] if force else [])]
    _dvc(
        root,
        "repro",
        *options,
        name,
        on_line=listen,
        timeout_s=timeout_s,
        env=env,
        remedy="Mend what the stage says, then repeat.",
    )
    return outcome or StageOutcome.RAN


def add(root: Path, path: Path) -> None:
    """Put ``path`` under DVC's care: its bytes into the cache, their hash into ``<path>.dvc``.

    Raises:
        ToolError: ``root`` is no DVC project, or DVC refuses.
    """
    _dvc(
        root,
        "add",
        os.path.relpath(root / path, root),
        remedy="Is there room on the disk, and may you write to .dvc/cache?",
    )


def push(root: Path, *, on_line: OnLine | None = None, timeout_s: float | None = None) -> None:
    """Copy to the remote what it does not have yet.

    Raises:
        ToolError: The remote cannot be reached or written to.
    """
    _dvc(root, "push", on_line=on_line, timeout_s=timeout_s, remedy=remedy)


def pull(root: Path, *, on_line: OnLine | None = None, timeout_s: float | None = None) -> None:
    """Bring what dvc.lock and the ``.dvc`` files name and the workspace lacks.

    What the remote does not have is left for the stages to make. What lies in the workspace and was never saved, edited
    data or the half-written outputs of a killed stage, is left as it is: the stages decide what it means.

    Raises:
        ToolError: The remote cannot be reached, or its bucket is not there.
    """
    if not (root / "dvc.lock").is_file() and not any((root / "data").rglob("*.dvc")):
        return  # nothing was ever recorded: DVC would warn about every single stage
    missing = False

    def listen(line: str) -> None:
        nonlocal missing
        missing = missing or _MISSING in line
        (on_line or _ignore)(line)

    def call(*targets: str) -> None:
        _dvc(root, "pull", "--allow-missing", *targets, on_line=listen, timeout_s=timeout_s, remedy=remedy)

    try:
        call()
    except ToolError as error:
        if _UNSAVED not in str(error):
            raise
        for file in (stage.name for stage in graph(root) if stage.name.endswith(".dvc")):
            if not (root / file).with_suffix("").exists():
                call(file)
    if missing:
        _check_bucket(root)


def remedy(said: str) -> str:
    """What helps when a remote did not do what it should, judging from what DVC said."""
    return next((advice for pattern, advice in _REMEDIES if re.search(pattern, said, re.I)), _REMOTE)


def _check_bucket(root: Path) -> None:
    """Raise where the remote is a bucket that is gone: to `dvc pull` that looks like one with nothing in it.

    Raises:
        ToolError: It is gone.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            remote = repo.cloud.get_remote()
    except DvcException:
        return  # no remote at all: `dvc pull` has said so
    if remote.fs.protocol not in _BUCKETS:
        return
    bucket = remote.path.partition("/")[0]
    try:
        remote.fs.fs.ls(bucket, refresh=True)
    except FileNotFoundError as error:
        raise ToolError(
            f"DVC's remote {remote.fs.unstrip_protocol(remote.path)} has no bucket {bucket!r} ({error}). "
            + remedy("NoSuchBucket")
        ) from None
    except OSError:
        return  # reading single objects may be allowed where listing the bucket is not


def data_hash(root: Path, path: Path) -> str:
    """The hash under which DVC keeps ``path`` (relative to ``root``): from its ``.dvc`` file, else from a dvc.lock.

    Raises:
        ToolError: DVC has not recorded ``path`` yet.
    """

    def read(file: Path) -> str:
        return (root / file).read_text(encoding="utf-8") if (root / file).is_file() else ""

    recorded = recorded_hash(path, read)
    if recorded is None:
        raise ToolError(f"DVC has recorded no hash for {path} in {root}. `dvc repro` or `earmark import` does that.")
    return recorded


def records_of(path: Path) -> tuple[Path, ...]:
    """The files in which DVC may have recorded the hash of ``path``, all relative to the project's root."""
    return path.with_name(path.name + ".dvc"), *_LOCKS


def recorded_hash(path: Path, read: Callable[[Path], str]) -> str | None:
    """As `data_hash`, from files of any version: ``read`` gives the text of one (empty where it is not there)."""
    beside, *locks = records_of(path)
    recorded = [out for out in _parsed(read(beside)).get("outs", []) if out["path"] == path.name]
    for lock in locks:
        made = _parsed(read(lock)).get("stages", {}).values()
        recorded += [out for stage in made for out in stage.get("outs", []) if Path(out["path"]) == path]
    return str(recorded[0]["md5"]) if recorded else None


_LOCKS = (Path("dvc.lock"), Path("data/dvc.lock"))  # their stages' paths all count from the root


_MISSING = "Missing cache files"
_BUCKETS = ("s3", "gs")
_REMOTE = (
    "Is the remote in .dvc/config the right one, can you reach it, and are its credentials set? `dvc remote list` "
    "shows it."
)
_REMEDIES = (
    (
        r"NoSuchBucket|bucket does not exist",
        "Is the bucket's name in .dvc/config right (`dvc remote list` shows it), and does the bucket still exist? "
        "DVC makes none: create it, then `dvc push` from a copy of the project that has the data.",
    ),
    (
        r"credentials|Forbidden|\b403\b|Access ?Denied|InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN where you have one), or AWS_PROFILE, "
        "to an account that may read and write this bucket; for DVC alone: `dvc remote modify --local NAME "
        "access_key_id …`, which stays out of git.",
    ),
    (
        r"Could not connect|EndpointConnection|Name or service not known|timed? ?out",
        "Is the server running and its address right? For an S3 that is not Amazon's it is `endpointurl` of the remote "
        "in .dvc/config, or AWS_ENDPOINT_URL.",
    ),
    (r"requires ['\"]?dvc-s3|dvc\[s3\]", "Install what DVC needs for S3: pip install 'earmark[s3]'."),
)


def _dvc(
    root: Path,
    command: str,
    *arguments: str,
    remedy: str | Callable[[str], str],
    on_line: OnLine | None = None,
    timeout_s: float | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    check_project(root)
    call = [*processes.program("dvc"), "--wait-for-lock", command, *arguments]
    finished = processes.run(call, cwd=root, env=env, on_line=on_line, timeout_s=timeout_s)
    if finished.exit_code != 0:
        advice = remedy if isinstance(remedy, str) else remedy("\n".join(finished.tail))
        raise processes.failure(call, finished, advice)


def check_project(root: Path) -> None:
    """Raise where DVC could not keep anything.

    Raises:
        ToolError: ``root`` is no DVC project, or lies in no git repository.
    """
    if not (root / ".dvc").is_dir():
        raise ToolError(
            f"There is no .dvc folder in {root}, so DVC cannot keep its data. Run `git init` and `dvc init` there."
        )
    scm = not _config_has_no_scm(root)
    if scm and not any((folder / ".git").exists() for folder in (root.resolve(), *root.resolve().parents)):
        raise ToolError(
            f"{root} is not in a git repository, and DVC stands on one: its files say which bytes a commit means. "
            "Was the project copied rather than cloned? Run `git init` there and repeat."
        )


def _config_has_no_scm(root: Path) -> bool:
    config = root / ".dvc" / "config"
    return config.is_file() and bool(re.search(r"(?im)^\s*no_scm\s*=\s*true", config.read_text(encoding="utf-8")))


def _name(stage: Any, root: Path) -> str:
    """As `dvc repro` takes it in ``root``: ``train``, ``data/dvc.yaml:songbook``, ``data/collections/mine.dvc``."""
    file = os.path.relpath(stage.path, root.resolve())
    name = getattr(stage, "name", None)
    if name is None:
        return file
    return str(name) if file == "dvc.yaml" else f"{file}:{name}"


def _parsed(text: str) -> dict[str, Any]:
    return yaml.safe_load(text) or {}


def _ignore(line: str) -> None:
    """Lines that nobody reads; the error has the last of them."""
