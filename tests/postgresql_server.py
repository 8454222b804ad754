"""A PostgreSQL server of the tests' own, from Debian's package: a cluster in a temporary folder, gone afterwards."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from earmark.adapters.supervisor import free_port

# A session fixture with these parameters runs its tests on a project's database, and in CI on a team's as well.
DATABASES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)]


class PostgreSQL:
    """A running server; everybody on this machine may enter as its superuser."""

    def __init__(self, port: int) -> None:
        self.port = port

    def database(self, name: str) -> str:
        """Make an empty database; its address without the scheme: ``//user@host:port/name``."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user="postgres", dbname="postgres")
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f'CREATE DATABASE "{name}"')
        connection.close()
        return f"//postgres@127.0.0.1:{self.port}/{name}"


@contextmanager
def running(folder: Path) -> Iterator[PostgreSQL]:
    """Start a server that keeps its data in ``folder``, an empty folder.

    Raises:
        FileNotFoundError: PostgreSQL is not installed; .ci/run installs it.
        subprocess.CalledProcessError: It does not start; its log is in ``folder``.
    """
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not programs:
        raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql, or let .ci/run do it.")
    as_postgres = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres")
        as_postgres = ["runuser", "-u", "postgres", "--"]
    port = free_port(5432)
    data = str(folder / "data")

    def run(program: str, *arguments: str) -> None:
        command = [*as_postgres, str(programs[-1] / program), "--pgdata", data, *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    run("initdb", "--username", "postgres", "--auth", "trust", "--no-sync", "--encoding", "UTF8")
    options = f"-p {port} -c listen_addresses=127.0.0.1 -c fsync=off -k {folder}"
    run("pg_ctl", "start", "--wait", "--log", str(folder / "log"), "--options", options)
    try:
        yield PostgreSQL(port)
    finally:
        run("pg_ctl", "stop", "--wait", "--mode", "immediate")
