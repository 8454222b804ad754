"""The answer of `/explain` as a picture: what each band and each moment adds, for who has no page at hand."""

import io

from earmark.serving.answers import ExplainAnswer

_FOR, _AGAINST = "#1f7a4d", "#b3402a"


def picture_of(why: ExplainAnswer) -> bytes:
    """A PNG: bands to the left, moments to the right; what speaks for the genre is green and to the right or above."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.6), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    bands, moments = figure.subplots(1, 2, width_ratios=(1, 2.2))
    against = "all others" if why.rather_than is None else why.rather_than
    figure.suptitle(f"What speaks for {why.genre} rather than {against}, and what against it", fontsize=13)
    values = [band.nats for band in why.bands]
    bands.barh(range(len(values)), values, color=[_FOR if value >= 0 else _AGAINST for value in values], height=0.9)
    ticks = range(0, len(values), max(1, len(values) // 6))
    bands.set_yticks(list(ticks), [_hertz(why.bands[tick].hz) for tick in ticks])
    bands.set_xlabel("nats")
    bands.set_title("Frequencies", loc="left", fontsize=11)
    heights = [moment.nats_per_s for moment in why.moments]
    moments.bar(
        [moment.start_s for moment in why.moments],
        heights,
        width=[moment.end_s - moment.start_s for moment in why.moments],
        align="edge",
        color=[_FOR if height >= 0 else _AGAINST for height in heights],
    )
    moments.set_xlabel("seconds")
    moments.set_ylabel("nats per second heard")
    moments.set_title("Moments", loc="left", fontsize=11)
    for axes in (bands, moments):
        axes.spines[["top", "right"]].set_visible(False)
        (axes.axvline if axes is bands else axes.axhline)(0, color="#888", linewidth=0.8)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _hertz(hertz: float) -> str:
    return f"{hertz / 1000:.1f} kHz" if hertz >= 1000 else f"{hertz:.0f} Hz"
