"""A stage runs again when code that makes its result has changed: dvc.yaml names all that the stage imports."""

from pathlib import Path

import grimp
import pytest
import yaml

from scratch import CHECKOUT

# What changes no number: errors, files, progress bars, names of places, how classes are found by name. What params.yaml
# says, DVC watches by itself.
PLUMBING = {f"earmark.{name}" for name in ("errors", "files", "params", "plugins", "progress", "workspace")}

# Handed to the stage by the command, so the stage itself does not import it.
INJECTED = {"validate": ["earmark.adapters.expectations"], "listening": ["earmark.adapters.feedback_rules"]}

# A side effect whose code changes no file that anything depends on.
EXEMPT = {"record"}


def stages() -> dict[str, dict]:
    files = (CHECKOUT / "dvc.yaml", CHECKOUT / "data" / "dvc.yaml")
    found = {name: stage for file in files for name, stage in yaml.safe_load(file.read_text())["stages"].items()}
    return {name: stage for name, stage in found.items() if name not in EXEMPT}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("earmark")


@pytest.mark.parametrize("name", stages())
def test_every_module_that_a_stage_imports_is_among_its_dependencies(name, imports):
    starts = [f"earmark.stages.{name}", *INJECTED.get(name, [])]
    modules = set(starts).union(*(imports.find_upstream_modules(start) for start in starts)) - PLUMBING
    named = [CHECKOUT / dep for dep in stages()[name]["deps"] if dep.startswith("src/")]
    files = {module: CHECKOUT / "src" / Path(*module.split(".")).with_suffix(".py") for module in modules}
    missing = [
        module
        for module, file in files.items()
        if not any(path in (file, file.with_suffix(""), *file.parents) for path in named)
    ]
    assert sorted(missing) == []
    assert all(path.exists() for path in named)
