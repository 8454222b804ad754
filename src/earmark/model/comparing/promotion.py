"""The gates: whether the challenger should take the champion's place, and each reason for or against it.

Section `gates` of params.yaml says how much is needed; `comparison`, beside this, what was found. All gates have to
be passed:

`comparable`
    The test tracks that neither was trained on belong to at least 2 groups. And where the split was drawn anew since
    the champion, so that more tracks are left out than compared, not more than half of those compared are worn (looked
    at more than ``max_looks`` times): fresh ones are there, and only the champion's training keeps them out.
`gain`
    The whole interval of the gain in accuracy lies above ``min_gain``. Or the challenger is as good and clearly
    cheaper: the whole interval lies above −``equal_margin`` (a test of non-inferiority; Piaggio et al., JAMA 308,
    2012), and latency or size is lower by the share ``cheaper`` at least, the other not higher by as much; so two
    models that are equally good never take each other's place in turn.
`class_drop`
    No genre's recall falls by more than ``max_class_drop``. With ``class_drop_shown`` only a fall that is shown to be
    more than chance blocks: its whole interval, widened by Bonferroni's correction for the number of genres, lies below
    0; and the two differ in at least 6 groups of its tracks (of 5 that differ, all fall by chance in one case of 32; by
    a sign test that is not enough). Without, every larger fall that was found blocks, which on few tracks is mostly
    chance. Either way the verdict names what fell. Without a champion there is nothing to fall from.
`ece`
    The expected calibration error is not shown to be above ``max_ece``: the interval's lower end is not.
`latency`, `size`
    The median for a song of 30 s, and the predictor's folder, are not above ``max_latency_ms`` and ``max_size_mib``.
`standing`
    Nobody rolled this version back; where somebody did, no flow puts it into service again by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from earmark.model.comparing.comparison import ClassMeasures, Comparison
from earmark.model.comparing.cost import Cost
from earmark.model.metrics import Score
from earmark.params import Gates

FEWEST_DIFFERING = 6  # groups


@dataclass(frozen=True)
class Gate:
    """One gate's verdict.

    Attributes:
        name: As in this module's description.
        passed: Whether the challenger may go through.
        found: What it brings.
        needed: What it has to bring.
        why: The rule in words, with what else there is to know.
    """

    name: str
    passed: bool
    found: str
    needed: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """What the gates decided, and on what grounds.

    Attributes:
        promote: Whether the challenger should become the champion: all gates are passed.
        reason: The decision in a few sentences.
        challenger: Its version in the registry.
        champion: The version it was compared with; None where there is no champion yet.
        accuracy: The challenger's, on the tracks of the comparison; None where there was none.
        opponent: ``champion``, or ``majority class`` where there is no champion yet.
        opponent_accuracy: The opponent's, on the same tracks.
        difference: Challenger minus opponent, with ``low`` and ``high`` at ``confidence``.
        tracks: How many tracks were compared.
        groups: To how many groups (artists) they belong.
        left_out: How many test tracks were left out because one of the two was trained on them.
        unanswerable: Genres among the tracks that the champion does not know; its answers there count as wrong.
        gates: Every gate's verdict.
        warnings: What does not decide, but should be known: that the test set is worn.
        comparison: All that was measured; None where nothing could be.
    """

    promote: bool
    reason: str
    challenger: str
    champion: str | None = None
    opponent: str = "champion"
    accuracy: float | None = None
    opponent_accuracy: float | None = None
    difference: Score | None = None
    confidence: float | None = None
    tracks: int = 0
    groups: int = 0
    left_out: int = 0
    unanswerable: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()
    warnings: tuple[str, ...] = ()
    comparison: Comparison | None = None

    @property
    def failed(self) -> tuple[Gate, ...]:
        """The gates that were not passed."""
        return tuple(gate for gate in self.gates if not gate.passed)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, fit for JSON."""
        return asdict(self)


def judge(
    comparison: Comparison,
    gates: Gates,
    *,
    version: str,
    champion: str | None,
    left_out: int = 0,
    worn: int = 0,
    rolled_back: str | None = None,
    warnings: Sequence[str] = (),
) -> Verdict:
    """Decide.

    Args:
        comparison: Of the challenger (ours) with the champion, or where there is none with the majority class.
        gates: Section ``gates`` of params.yaml.
        version: The challenger's version.
        champion: The champion's version, or None.
        left_out: How many test tracks could not be used.
        worn: How many of those compared were looked at too often.
        rolled_back: When and why the challenger was rolled back, if that is the last that happened to it.
        warnings: Handed on.
    """
    found = comparison
    gain = _gain(found, gates)
    checked = (
        _comparable(found, left_out, worn),
        gain,
        _class_drop(found.classes, gates, champion),
        _ece(found, gates),
        *_costs(found.our_cost, gates),
        Gate(
            "standing",
            rolled_back is None,
            "not rolled back" if rolled_back is None else "rolled back",
            "not rolled back",
            rolled_back or "nobody has taken this version out of service",
        ),
    )
    name = f"version {champion}" if champion else "the majority class"
    accuracy, difference = found.accuracy, found.accuracy.difference
    verb = "is not shown to be better than"
    if gain.passed:
        verb = "is better than" if difference.low > gates.min_gain else "is as good as, and cheaper than,"
    reason = (
        f"Version {version} {verb} {name}: accuracy {accuracy.ours.value:.3f} against {accuracy.theirs.value:.3f}, "
        f"difference {signed(difference)} at {found.confidence:.0%} on {found.tracks} tracks of {found.groups} groups."
    )
    if failed := [gate for gate in checked if not gate.passed and gate is not gain]:
        told = "; ".join(f"{gate.name} (found {gate.found}, needed {gate.needed})" for gate in failed)
        reason += f" It fails the gate{'s' if len(failed) > 1 else ''} {told}."
    if checked[2].passed:
        reason += _fallen(found.classes, gates, champion)
    return Verdict(
        promote=all(gate.passed for gate in checked),
        reason=reason + _aside(left_out) + _unknown(found, version, champion),
        challenger=version,
        champion=champion,
        opponent="champion" if champion else "majority class",
        accuracy=accuracy.ours.value,
        opponent_accuracy=accuracy.theirs.value,
        difference=difference,
        confidence=found.confidence,
        tracks=found.tracks,
        groups=found.groups,
        left_out=left_out,
        unanswerable=found.unknown_to_theirs,
        gates=checked,
        warnings=tuple(warnings),
        comparison=comparison,
    )


def incomparable(
    *, version: str, champion: str | None, tracks: int, groups: int, left_out: int, warnings: Sequence[str] = ()
) -> Verdict:
    """The verdict where fewer than 2 groups of test tracks are left: nothing is decided, so nothing changes."""
    name = f"version {champion}" if champion else "the majority class"
    found = f"{tracks} tracks of {groups} group{'' if groups == 1 else 's'}"
    why = "test tracks that neither of the two was trained on"
    return Verdict(
        promote=False,
        reason=f"Version {version} cannot be compared with {name}: {tracks} test tracks of {groups} groups are left, "
        f"and at least 2 groups are needed.{_aside(left_out)} Add tracks that neither has heard.",
        challenger=version,
        champion=champion,
        opponent="champion" if champion else "majority class",
        tracks=tracks,
        groups=groups,
        left_out=left_out,
        gates=(Gate("comparable", False, found, "2 groups", why),),
        warnings=tuple(warnings),
    )


def identical(*, version: str, champion: str) -> Verdict:
    """The verdict where both versions are one model, to the byte: nothing would change, so nothing does."""
    return Verdict(
        promote=False,
        reason=f"Version {version} and version {champion}, the champion, are the same model: nothing would change.",
        challenger=version,
        champion=champion,
        gates=(Gate("comparable", False, "the same model", "two models", "all files of the two are equal"),),
    )


def unreadable(*, version: str, champion: str, why: str) -> Verdict:
    """The verdict where the champion cannot be read, as after a change of its format: somebody has to decide."""
    needed = "a champion that can be read"
    return Verdict(
        promote=False,
        reason=f"Version {version} cannot be compared with version {champion}, which cannot be read: {why} To promote "
        "it all the same: `earmark promote --because REASON`.",
        challenger=version,
        champion=champion,
        gates=(Gate("comparable", False, "none", needed, why),),
    )


def signed(score: Score) -> str:
    """``+0.123 [-0.004, +0.250]``."""
    return f"{score.value:+.3f} [{score.low:+.3f}, {score.high:+.3f}]"


def _comparable(found: Comparison, left_out: int, worn: int) -> Gate:
    told = f"{found.tracks} tracks of {found.groups} groups"
    if 2 * worn > found.tracks and left_out > found.tracks:
        return Gate(
            "comparable",
            False,
            f"{told}, {worn} of them worn",
            f"fresh tracks, for {left_out} are left out",
            "the split was drawn anew, but one of the two was trained on most of the new test tracks; "
            '`earmark promote --because "a fresh test set"` begins anew with a model of the new split',
        )
    return Gate("comparable", True, told, "2 groups", "test tracks that neither of the two was trained on")


def _gain(found: Comparison, gates: Gates) -> Gate:
    gain = found.accuracy.difference
    better = gain.low > gates.min_gain
    cheap, told = _cheaper(found.our_cost, found.their_cost, gates.cheaper)
    equal = gain.low > -gates.equal_margin
    if better:
        why = "the whole interval of the gain in accuracy lies above it"
    elif equal and cheap:
        why = f"no more than {gates.equal_margin:g} of accuracy is lost, by the whole interval, and {told}"
    else:
        why = "the interval of the gain in accuracy does not lie above it, and "
        why += told if equal else f"a loss of more than {gates.equal_margin:g} is not ruled out"
    needed = f"above {gates.min_gain:+.3f}"
    if found.their_cost is not None:
        needed += f", or above {-gates.equal_margin:+.3f} and {gates.cheaper:.0%} cheaper"
    return Gate("gain", better or (equal and cheap), signed(gain), needed, why)


def _cheaper(ours: Cost | None, theirs: Cost | None, share: float) -> tuple[bool, str]:
    """Whether ours costs clearly less, and what each cost is of theirs."""
    if ours is None or theirs is None:
        return False, "there are no costs to compare"
    ratios = {"latency": ours.median_ms / theirs.median_ms, "size": ours.mib / theirs.mib}
    cheaper = min(ratios.values()) <= 1 - share and max(ratios.values()) < 1 + share
    told = " and ".join(f"{name} is {ratio - 1:+.0%}" for name, ratio in ratios.items())
    return cheaper, told if cheaper else f"{told}: not clearly cheaper"


def _class_drop(classes: Sequence[ClassMeasures], gates: Gates, champion: str | None) -> Gate:
    rule = f"no {'shown ' if gates.class_drop_shown else ''}fall of more than {gates.max_class_drop:g}"
    if champion is None:
        return Gate("class_drop", True, "no champion", rule, "without a champion no genre has a recall to fall from")
    falls = sorted((each for each in classes if each.fall.value < 0), key=lambda each: each.fall.value)
    large = _large(classes, gates)
    blocking = [each for each in large if _is_shown(each) or not gates.class_drop_shown]
    if blocking:
        why = "recall fell by more: " + _listed(blocking, _fall)
    elif large:
        why = "what fell by more may be chance, at so few differing groups or so wide an interval: "
        why += _listed(large, _fall)
    else:
        why = "no genre's recall fell by more"
    worst = (blocking or falls)[:1]
    found = f"{worst[0].genre} {signed(worst[0].fall)}, {_chance(worst[0])}" if worst else "no fall"
    return Gate("class_drop", not blocking, found, rule, why)


def _large(classes: Sequence[ClassMeasures], gates: Gates) -> list[ClassMeasures]:
    """Genres that fell by more than is allowed, the worst first."""
    large = [each for each in classes if -each.fall.value > gates.max_class_drop]
    return sorted(large, key=lambda each: each.fall.value)


def _is_shown(each: ClassMeasures) -> bool:
    """Whether the genre's fall is more than chance."""
    return each.fall.high < 0 and each.differing >= FEWEST_DIFFERING


def _chance(each: ClassMeasures) -> str:
    return "shown to be more than chance" if _is_shown(each) else "not shown to be more than chance"


def _fallen(classes: Sequence[ClassMeasures], gates: Gates, champion: str | None) -> str:
    """What fell by more than the margin, though the gate let it pass."""
    large = _large(classes, gates) if champion is not None else []
    if not large:
        return ""
    return f" Recall fell by more than {gates.max_class_drop:g}: {_listed(large, _fall)}."


def _listed(classes: Sequence[ClassMeasures], tell: Callable[[ClassMeasures], str], most: int = 5) -> str:
    more = f"; and {len(classes) - most} more" if len(classes) > most else ""
    return "; ".join(tell(each) for each in classes[:most]) + more


def _fall(each: ClassMeasures) -> str:
    where = f"on {each.tracks} track{'' if each.tracks == 1 else 's'}, "
    where += "1 group differs" if each.differing == 1 else f"{each.differing} groups differ"
    return f"{each.genre} {signed(each.fall)} {where}, {_chance(each)}"


def _ece(found: Comparison, gates: Gates) -> Gate:
    ours = found.ece.ours
    passed = ours.low <= gates.max_ece
    why = "the interval of the calibration error " + ("does not lie" if passed else "lies") + " above it"
    return Gate("ece", passed, f"{ours.value:.3f} [{ours.low:.3f}, {ours.high:.3f}]", f"at most {gates.max_ece:g}", why)


def _costs(cost: Cost | None, gates: Gates) -> list[Gate]:
    if cost is None:
        return []
    return [
        Gate(
            "latency",
            cost.median_ms <= gates.max_latency_ms,
            f"{cost.median_ms:.0f} ms",
            f"at most {gates.max_latency_ms:.0f} ms",
            "the median for a song of 30 s, on the machine that compared",
        ),
        Gate(
            "size",
            cost.mib <= gates.max_size_mib,
            f"{cost.mib:.1f} MiB",
            f"at most {gates.max_size_mib:g} MiB",
            "all files of the predictor",
        ),
    ]


def _aside(left_out: int) -> str:
    return f" {left_out} test tracks were left out, for one of the two was trained on them." if left_out else ""


def _unknown(found: Comparison, version: str, champion: str | None) -> str:
    parts = [(version, found.unknown_to_ours)] + [(champion, found.unknown_to_theirs)] * (champion is not None)
    return "".join(
        f" Version {name} does not know {', '.join(genres)}; there its answers count as wrong."
        for name, genres in parts
        if genres
    )
