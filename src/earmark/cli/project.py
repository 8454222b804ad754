"""The project that a command works on."""

from pathlib import Path

import click


def project_of(ctx: click.Context) -> Path:
    """Its folder: that of ``--root``, or the nearest that holds a params.yaml."""
    from earmark.workspace import find_root

    return find_root(ctx.obj)
