"""What the service counts and times, for Prometheus; BentoML collects it over all workers and serves `/metrics`.

Labels have few values: versions, roles, endpoints, codes and genres, and never what a client sent.
"""

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (
    0.005,
    0.01,
    0.02,
    0.03,
    0.05,
    0.07,
    0.1,
    0.15,
    0.2,
    0.3,
    0.5,
    0.7,
    1.0,
    1.5,
    2.0,
    3.0,
    5.0,
    10.0,
    30.0,
    100.0,
)
_TENTHS = tuple(tenth / 10 for tenth in range(1, 11))

REQUESTS = Counter(
    "earmark_requests",
    "Recordings that were answered, or why they were not.",
    ("endpoint", "role", "version", "outcome"),
)
REQUEST_SECONDS = Histogram(
    "earmark_request_seconds",
    "From the whole upload to the answer, of recordings that were answered.",
    ("endpoint", "role", "version"),
    buckets=_SECONDS,
)
STEP_SECONDS = Histogram(
    "earmark_step_seconds",
    "Parts of that: upload, decode (with the wait for a decoder), hear (spectrogram, descriptors, facts), compute (the "
    "networks, with the wait for a batch), tell, record.",
    ("step",),
    buckets=_SECONDS,
)
BATCH_EXCERPTS = Histogram(
    "earmark_batch_excerpts",
    "Excerpts that were computed together.",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048),
)
QUEUE = Gauge("earmark_queue", "Recordings being worked on or waiting.", multiprocess_mode="livesum")
TASKS = Gauge("earmark_tasks", "Long recordings being worked on or waiting.", multiprocess_mode="livesum")
UNRECORDED = Counter(
    "earmark_unrecorded", "Predictions that could not be written down, so their way back is not known."
)

# How the songs that come in, and the answers to them, change: without drift `unlike` is even, and the others stay.
GENRES = Counter("earmark_genres", "Answers by their most probable genre.", ("version", "genre"))
ABSTAINED = Counter("earmark_abstained", "Answers of which the model was too unsure.", ("version",))
UNFAMILIAR = Counter("earmark_unfamiliar", "Recordings unlike anything in training.", ("version",))
CONFIDENCE = Histogram("earmark_confidence", "Probability of the most probable genre.", ("version",), buckets=_TENTHS)
UNLIKE = Histogram("earmark_unlike", "How rarely a recording lies so far off, p-values.", ("version",), buckets=_TENTHS)
APPEAL = Histogram("earmark_appeal", "Expected share of listeners that like it.", ("version",), buckets=_TENTHS)

# A challenger or a canary beside the champion, on the same recordings.
COMPARED = Counter("earmark_compared", "Recordings that two versions answered.", ("version", "against"))
DISAGREEMENTS = Counter(
    "earmark_disagreements", "Of these, how many they answer otherwise.", ("version", "against", "what")
)
SHADOW_DROPPED = Counter("earmark_shadow_dropped", "Recordings that a challenger was to answer, had there been time.")

FEEDBACK = Counter("earmark_feedback", "Events of listeners by what became of them.", ("outcome",))
IN_SERVICE = Gauge(
    "earmark_in_service",
    "1 for each version that this service answers with.",
    ("version", "role"),
    multiprocess_mode="livemax",
)
