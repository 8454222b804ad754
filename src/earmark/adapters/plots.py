"""The pictures of a run: confusion, scores by genre, sureness, learning curve. One look; drawn without a display."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, MUTED, GRID = "#1d2330", "#667085", "#e4e7ec"
COLOURS = {
    "network": "#2456c7",
    "forest": "#18794e",
    "blend": "#7a3fb0",
    "machine": "#b4540a",
    "training": "#98a2b3",
    "validation": "#2456c7",
}
_STYLE = {
    "font.size": 10,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "grid.color": GRID,
    "figure.facecolor": "white",
}


def confusion(actual: pd.Series, predicted: pd.Series, *, kind: str) -> "Figure":
    """How often each genre is taken for which, as counts and as shares of the true genre."""
    genres = sorted(set(actual) | set(predicted))
    counts = pd.crosstab(actual, predicted).reindex(index=genres, columns=genres, fill_value=0).to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(4.6, 0.62 * len(genres) + 2.2)
    figure, axes = _figure(side, side * 0.92)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1.15, aspect="equal")
    for row, column in np.argwhere(counts > 0):
        colour = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(len(genres)), genres, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(genres)), genres)
    axes.set_xlabel("heard as")
    axes.set_ylabel("is")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _title(axes, f"Confusion of the {kind}, {len(actual)} test tracks")
    return figure


def by_genre(per_class: pd.DataFrame, *, kind: str) -> "Figure":
    """F1 of each genre, the best on top, with the other models as marks beside it."""
    scores = per_class.pivot(index="genre", columns="model", values="f1").sort_values(kind)
    support = per_class[per_class["model"] == kind].set_index("genre")["support"]
    figure, axes = _bars(scores, [f"{genre} ({int(support[genre])})" for genre in scores.index], kind, row=0.42)
    axes.set_xlim(0, 1.0)
    axes.set_xlabel("F1 on the test tracks (how many in brackets)")
    _title(axes, f"F1 of the {kind} by genre")
    return figure


def by_tag(tags: pd.DataFrame, *, kind: str) -> "Figure":
    """Correlation with what listeners tell, of each tag, with the other models and the noise ceiling as marks."""
    scores = tags.pivot(index="tag", columns="model", values="r").sort_values(kind)
    ceilings = tags.drop_duplicates("tag").set_index("tag")["ceiling"].reindex(scores.index)
    figure, axes = _bars(scores, [tag.replace("---", ": ") for tag in scores.index], kind, row=0.34, ceilings=ceilings)
    axes.set_xlim(min(0.0, float(scores.min().min())) - 0.02, 1.0)
    axes.set_xlabel("r with what listeners tell of the test tracks")
    _title(axes, f"Tags told by the {kind}")
    return figure


def _bars(
    scores: pd.DataFrame, labels: list[str], kind: str, *, row: float, ceilings: pd.Series | None = None
) -> tuple["Figure", Any]:
    """A bar for each row of ``scores``, ``row`` inches high, with the other models (columns) and ceilings as marks."""
    figure, axes = _figure(8.2, row * len(scores) + 1.9)
    places = np.arange(len(scores))
    axes.barh(places, scores[kind], height=0.62, color=COLOURS[kind], label=kind, zorder=2)
    for other in [name for name in scores.columns if name != kind]:
        edge = COLOURS.get(other, INK)
        axes.plot(scores[other], places, "D", color="white", mec=edge, mew=1.6, ms=6, label=other, zorder=3)
    if ceilings is not None and ceilings.notna().any():
        axes.plot(ceilings, places, "|", color=INK, ms=12, mew=2, label="noise ceiling", zorder=3)
    axes.set_yticks(places, labels)
    axes.tick_params(length=0)
    axes.grid(axis="x", zorder=0)
    axes.spines["bottom"].set_visible(False)
    figure.legend(frameon=False, ncols=3, loc="outside lower right")
    return figure, axes


def reliability(rows: pd.DataFrame, *, kind: str) -> "Figure":
    """How often tracks about equally sure are right; on the diagonal the model is as sure as it should be."""
    own = rows[rows["model"] == kind]
    figure, axes = _figure(5.2, 5.0)
    axes.plot([0, 1], [0, 1], "--", color=MUTED, lw=1)
    below, above = own["accuracy"] - own["low"], own["high"] - own["accuracy"]
    colour = COLOURS.get(kind, INK)
    axes.errorbar(own["confidence"], own["accuracy"], [below, above], fmt="o", color=colour, ms=6, lw=2, alpha=0.85)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("how sure it is")
    axes.set_ylabel("share right")
    axes.grid()
    _title(axes, f"Reliability of the {kind}, {int(own['count'].sum())} test tracks")
    return figure


def risk_coverage(rows: pd.DataFrame, *, kind: str) -> "Figure":
    """Right answers among the surest, from the surest few to all; the other models thin."""
    figure, axes = _figure(6.4, 4.4)
    for model, own in rows.groupby("model", sort=False):
        name = str(model)
        mine = name == kind
        axes.plot(
            *(own[column] for column in ("coverage", "accuracy")),
            color=COLOURS.get(name, INK),
            lw=2.4 if mine else 1.2,
            alpha=1.0 if mine else 0.6,
            label=name,
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("share of the test tracks that are answered, the surest first")
    axes.set_ylabel("share right")
    axes.grid()
    axes.legend(frameon=False)
    _title(axes, "Right answers among the surest")
    return figure


def importance(families: pd.DataFrame) -> "Figure":
    """What the forest's answers lose for each genre when a family of features is exchanged between tracks."""
    wide = families.pivot(index="family", columns="class", values="importance")
    wide = wide[[*(name for name in wide.columns if name != "all"), *(["all"] if "all" in wide else [])]]
    wide = wide.loc[wide.max(axis=1).sort_values(ascending=False).index]
    figure, axes = _figure(0.62 * wide.shape[1] + 3.0, 0.42 * wide.shape[0] + 2.4)
    largest = float(np.nanmax(wide.to_numpy())) or 1.0
    axes.imshow(wide.clip(lower=0), cmap="Blues", vmin=0, vmax=1.15 * largest, aspect="auto")
    for (row, column), value in np.ndenumerate(wide.to_numpy()):
        colour = "white" if value > 0.55 * largest else INK
        axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
    axes.set_xticks(range(wide.shape[1]), wide.columns, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(wide.shape[0]), wide.index)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    _title(axes, "What the forest rests on, nats lost")
    return figure


def importance_matrix(features: pd.DataFrame, *, most: int = 30) -> "Figure":
    """Classes against the single descriptors that matter most; a dot where the whole interval lies above 0."""
    from earmark.model.reasons.importance import matrix

    found = matrix(features, most)
    values = found.values.to_numpy(float)
    largest = float(np.nanmax(values)) or 1.0
    figure, axes = _figure(0.5 * values.shape[1] + 4.2, 0.26 * len(values) + 2.6)
    axes.imshow(found.values.clip(lower=0), cmap="Blues", vmin=0, vmax=1.15 * largest, aspect="auto")
    for row, column in np.argwhere(found.sure.to_numpy()):
        axes.plot(column, row, "o", color="white" if values[row, column] > 0.55 * largest else INK, ms=3.2)
    for row in range(1, len(values)):
        if found.families[row] != found.families[row - 1]:
            axes.axhline(row - 0.5, color=MUTED, lw=0.8)
    axes.set_xticks(range(values.shape[1]), found.values.columns, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(values)), found.values.index, fontsize=8)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    rest = f"; {found.others} others, added up: {found.rest['all']:.2f}" if found.others else ""
    axes.set_xlabel(f"darkest: {largest:.3f} nats lost; dot: surely above 0{rest}", fontsize=8)
    _title(axes, "What the forest rests on, by descriptor")
    return figure


def attribution(bands: pd.DataFrame, moments: pd.DataFrame) -> "Figure":
    """What each band and each tenth of a song adds for each class, with intervals; one scale each."""
    classes = list(dict.fromkeys(bands["class"]))
    figure, drawn = _figure(9.2, 1.25 * len(classes) + 1.2, columns=2, rows=len(classes))
    axes = np.atleast_2d(drawn)  # of one class there is a single row
    ends = [(min(0.0, float(table["low"].min())), float(table["high"].max())) for table in (bands, moments)]
    for (left, right), name in zip(axes, classes, strict=True):
        own, parts = (table[table["class"] == name] for table in (bands, moments))
        left.fill_between(own["band_hz"], own["low"], own["high"], color=COLOURS["network"], alpha=0.25, lw=0)
        left.plot(own["band_hz"], own["importance"], color=COLOURS["network"], lw=1.4)
        left.set_xscale("log")
        reach = np.stack([parts["importance"] - parts["low"], parts["high"] - parts["importance"]])
        right.bar(parts["moment"], parts["importance"], width=0.08, color=COLOURS["network"])
        right.errorbar(parts["moment"], parts["importance"], np.maximum(reach, 0), fmt="none", ecolor=INK, lw=1)
        left.set_ylabel(name, rotation=0, ha="right", va="center", color=INK)
        for one, (low, high) in zip((left, right), ends, strict=True):
            one.axhline(0, color=MUTED, lw=0.8)
            one.set_ylim(1.05 * low, 1.05 * high or 1.0)
            one.tick_params(axis="x", labelbottom=one in axes[-1])
    axes[-1][0].set_xlabel("Hz; nats in an excerpt")
    axes[-1][1].set_xlabel("share of the song; nats a second")
    _title(axes[0][0], "What the network heeds")
    return figure


def learning_curve(curve: pd.DataFrame) -> "Figure":
    """Loss and accuracy by epoch, training beside validation."""
    figure, (loss, accuracy) = _figure(9.2, 3.9, columns=2)
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        for part in ("training", "validation"):
            axes.plot(curve["epoch"], curve[f"{part}_{name}"], color=COLOURS[part], lw=2, label=part)
        axes.set_xlabel("epoch")
        axes.grid(axis="y")
        _title(axes, name.capitalize())
    best = curve["validation_accuracy"].idxmax()
    accuracy.plot(curve.at[best, "epoch"], curve.at[best, "validation_accuracy"], "o", color=COLOURS["validation"])
    loss.legend(frameon=False)
    return figure


def _figure(width: float, height: float, *, columns: int = 1, rows: int = 1) -> tuple["Figure", Any]:
    """A figure and its axes, a table of them where there are several ``rows``; sizes in inches."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    # Figures of their own, without pyplot: nothing global is left behind, and threads do not meet.
    with matplotlib.rc_context(_STYLE):
        room = ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.14)  # inches
        figure = Figure(figsize=(width, height), layout=room)
        return figure, figure.subplots(rows, columns)


def _title(axes: Any, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=13, fontweight="bold", pad=12)
