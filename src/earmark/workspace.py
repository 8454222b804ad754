"""Where things lie in a project: every path that two rooms share, relative to the project's root.

dvc.yaml names the same paths; `tests/test_workspace.py` holds the two together.
"""

from pathlib import Path

from earmark.errors import EarmarkError

PARAMS = Path("params.yaml")
EXPECTATIONS = Path("expectations.yaml")
TAXONOMY = Path("data/taxonomy.yaml")
CORRECTIONS = Path("data/corrections.csv")

# A collection is one folder: tracks.parquet, refused.csv and audio/.
COLLECTIONS = Path("data/collections")
TRACKS = "tracks.parquet"
REFUSED = "refused.csv"
SONGBOOK = "songbook"  # a stage makes this one; no import and no label may

# What listeners did: the store (live, a side effect), and snapshots of it (files, which DVC keeps).
FEEDBACK_STORE = Path("feedback.db")
SNAPSHOTS = Path("data/feedback")
LISTENING = "listening"  # the snapshot of this project's store
SILENCE = "none"  # the empty one
LISTENERS = Path("data/listeners")  # made-up ones, for the songbook: their exports, and the truth

EVIDENCE = Path("data/evidence")  # what listeners did with the catalogue's tracks: one row a listener and track
TARGETS = Path("data/targets.parquet")
CATEGORIES = Path("data/categories.parquet")
CATEGORY_NAMES = Path("data/categories.json")
TAGS = Path("data/tags.parquet")

DUPLICATES = Path("data/duplicates.parquet")
CATALOGUE = Path("data/catalogue.parquet")
QUARANTINE = Path("data/quarantine.csv")
WARNINGS = Path("data/warnings.csv")
SPLITS = Path("data/splits.parquet")
FEATURES = Path("data/features.parquet")
DESCRIPTORS = Path("data/descriptors.parquet")

NETWORK = Path("models/network")
FOREST = Path("models/forest")
MACHINE = Path("models/machine")
BLEND = Path("models/blend")
CHAMPION = Path("models/champion")
PRETRAINED = Path("models/pretrained")  # what training.start_from may name
PORTABLE = Path("models/portable")  # the network for programs that have no earmark
NEIGHBOURS = Path("models/neighbours")  # the catalogue by each model's embedding: a folder for each kind
EXAMPLES = Path("models/examples")  # a few songs to listen to
# The candidates of one run, by kind.
MODELS = {"network": NETWORK, "forest": FOREST, "machine": MACHINE, "blend": BLEND}

VALIDATION = Path("reports/validation.json")
DATA_DOCS = Path("reports/data_docs")
GENRE_NAMES = Path("reports/taxonomy.csv")
CORRECTED = Path("reports/corrections.csv")
DUPLICATE_PAIRS = Path("reports/duplicates.csv")
DUPLICATES_SUMMARY = Path("reports/duplicates.json")
EVIDENCE_SUMMARY = Path("reports/evidence.json")
TARGETS_SUMMARY = Path("reports/targets.json")
CATEGORIES_SUMMARY = Path("reports/categories.json")
SPLIT_SUMMARY = Path("reports/split.json")
LEARNING_CURVE = Path("reports/learning_curve.csv")
TAG_SCORES = Path("reports/tags.csv")
METRICS = Path("reports/metrics.json")
PER_CLASS = Path("reports/per_class.csv")
CONFUSION = Path("reports/confusion.csv")
PREDICTIONS = Path("reports/predictions.parquet")
RELIABILITY = Path("reports/reliability.csv")
RISK_COVERAGE = Path("reports/risk_coverage.csv")
MISTAKES = Path("reports/mistakes.csv")
LEAKAGE = Path("reports/leakage.csv")
IMPORTANCE = Path("reports/importance.csv")
FAMILY_IMPORTANCE = Path("reports/importance_families.csv")
SELECTION = Path("reports/selection.json")
ATTRIBUTION = Path("reports/attribution.csv")
ATTRIBUTION_MOMENTS = Path("reports/attribution_moments.csv")
ATTRIBUTION_SUMMARY = Path("reports/attribution.json")
REPORT = Path("reports/report.html")
LABEL_REVIEW = Path("reports/label_review.csv")
LABEL_REVIEW_SUMMARY = Path("reports/label_review.json")
PORTABLE_SUMMARY = Path("reports/portable.json")
RUN = Path("reports/run.json")

# Neither DVC's nor git's: what can always be made again.
FEATURE_CACHE = Path(".earmark/features")
SEARCH = Path(".earmark/search")
CHECKPOINTS = Path(".earmark/checkpoints")
TUNING = Path(".earmark/tuning.db")  # trials of `earmark tune`
LOGS = Path(".earmark/logs")
CORRECTIONS_LOCK = Path(".earmark/corrections.lock")
TRAINED_WITH = Path(
    ".earmark/feedback/trained_with.json"
)  # how much feedback there was when it last started a training
REFUSED_FEEDBACK = Path(".earmark/refused")  # rows of feedback that an import refused, a file each
IMPORTS = Path(".earmark/imports")  # what imports have found out about files that did not change since

_EXPERIMENTS = Path(".dvc/tmp/exps")  # where DVC runs queued experiments, each in a copy of the project


def find_root(start: Path | None = None) -> Path:
    """The project's root: the nearest folder, from ``start`` upwards, that holds a params.yaml.

    Raises:
        EarmarkError: No folder on the way up has one.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / PARAMS).is_file():
            return folder
    raise EarmarkError(
        f"No params.yaml in {start} or above it, so this is not inside an earmark project. "
        "Change to the project's folder, or give it with --root."
    )


def owner_of(root: Path) -> Path:
    """The project that what lasts belongs to: MLflow's records and the feature cache.

    It is ``root`` itself, unless that is the copy in which DVC runs a queued experiment, and which it removes after.
    """
    root = root.resolve()
    for project in root.parents:
        if (project / PARAMS).is_file() and root.is_relative_to(project / _EXPERIMENTS):
            return project
    return root


def share_features(root: Path) -> None:
    """Let the copy in which an experiment runs use the feature cache of its owner, so that nothing is heard twice."""
    owner = owner_of(root)
    if owner == root.resolve() or (root / FEATURE_CACHE).exists():
        return
    (owner / FEATURE_CACHE).mkdir(parents=True, exist_ok=True)
    (root / FEATURE_CACHE).parent.mkdir(parents=True, exist_ok=True)
    (root / FEATURE_CACHE).symlink_to(owner / FEATURE_CACHE)
