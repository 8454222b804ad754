"""One server for all tests that only ask it things."""

from collections.abc import Iterator

import pytest
from serving_tools import TAGS_OF_VERSION, Server, export, make_project, serving, untrained


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with an untrained champion, version 7, that lies in models/champion."""
    root = make_project(tmp_path_factory.mktemp("served"))
    export(root, untrained(), version="7", catalogue=True, tags=TAGS_OF_VERSION)
    with serving(root, home=root / "bentoml", log=root / "log") as server:
        server.wait_until(lambda: server.answers("/readyz"))
        yield server
