"""Scratch projects for the tests: a git repository with DVC, a remote beside it, and stages that take no time."""

import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]

# letters and words are made from one file under `dvc add`; both meet in the end. No stage knows earmark.
PIPELINE = """
stages:
  letters:
    cmd: mkdir letters && cp data/collections/mine/a.txt data/collections/mine/b.txt letters/
    deps: [data/collections/mine]
    outs: [letters]
  words:
    cmd: cat letters/a.txt letters/b.txt > words.txt
    deps: [letters]
    outs: [words.txt]
  count:
    cmd: wc -c < words.txt > count.txt
    deps: [words.txt, letters]
    outs: [count.txt]
"""

# As in earmark itself: a collection that is made, not imported, has its stage in data/.
MADE_COLLECTION = """
stages:
  songbook:
    wdir: ..
    cmd: mkdir -p data/collections && cp -r scores data/collections/songbook
    deps: [scores]
    outs: [data/collections/songbook]
"""

CONFIG = """
[core]
    remote = storage
    analytics = false
    check_update = false
['remote "storage"']
    url = ../remote
"""


def git(root: Path, *arguments: str) -> str:
    """Run git as somebody."""
    who = ["-c", "user.name=A Test", "-c", "user.email=test@example.org"]
    done = subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def scratch_project(folder: Path, pipeline: str = PIPELINE, config: str = CONFIG) -> Path:
    """A project with ``pipeline`` at ``folder``, its remote at ``folder/remote``, a collection `mine` not yet added."""
    root = folder / "project"
    mine = root / "data" / "collections" / "mine"
    mine.mkdir(parents=True)
    (mine / "a.txt").write_text("do\n")
    (mine / "b.txt").write_text("re\n")
    (root / ".dvc").mkdir()
    (root / ".dvc" / "config").write_text(config.replace("../remote", str(folder / "remote")))
    (root / ".dvc" / ".gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (root / "dvc.yaml").write_text(pipeline)
    for name in ("params.yaml", "prefect.yaml"):
        (root / name).write_text((CHECKOUT / name).read_text())
    git(root, "init", "--quiet")
    git(root, "add", ".dvc", "dvc.yaml", "params.yaml", "prefect.yaml")
    git(root, "commit", "--quiet", "--message", "A scratch project")
    return root
