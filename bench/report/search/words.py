"""What a search found in plain words, and how far to believe it."""

from __future__ import annotations

import math

from bench.analysis.stats import Interval
from bench.metric_columns import MetricColumn, MetricKind, on_test
from bench.report.format import numbers
from bench.report.format.display_names import display_name
from bench.report.narrative.headline import Headline
from bench.report.search.search_record import (
    ConfirmationRecord,
    ObjectiveRecord,
    PointRecord,
    SearchRecord,
)

_LARGE = 1e4  # from here on with a prefix: 12.7 M


def search_headline(search: SearchRecord) -> Headline:
    """Which point was chosen, what the search measured, what fresh seeds confirm."""
    if not search.complete:
        what = "No point has come to its end" + (" yet." if not search.over else ".")
        return Headline(what, [states_words(search)])
    if search.several:
        return Headline(_front_title(search), _of_several(search))
    return _of_one(search, search.objectives[0])


def states_words(search: SearchRecord) -> str:
    """How the points ended: `12 points of 12 wanted: 9 complete, 3 pruned.`."""
    counts = ", ".join(f"{count} {state}" for state, count in search.counts.items())
    reused = sum(point.reused is not None for point in search.points)
    again = f"; {reused} of them equal to an earlier point, and not trained again" if reused else ""
    points = f"{len(search.points)} of {numbers.plural(search.wanted, 'point')} tried"
    return f"{points}: {counts or 'none yet'}{again}."


def params_words(point: PointRecord) -> str:
    """`train.lr 0.001 · augment none`."""
    return " · ".join(f"{name} {param_text(value)}" for name, value in point.params.items())


def param_text(value: str | int | float) -> str:
    """A label as it is, a number with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def figure_text(value: float, decimals: int) -> str:
    """A figure; a large one with a prefix."""
    return numbers.scaled(value) if abs(value) >= _LARGE else numbers.fixed(value, decimals)


def interval_text(found: Interval, decimals: int) -> str:
    """A mean with its interval, if there is one that is wider than a point."""
    mean = figure_text(found.mean, decimals)
    if not found.known or found.low == found.high:
        return mean
    return f"{mean} [{figure_text(found.low, decimals)}, {figure_text(found.high, decimals)}]"


def decimals_of(search: SearchRecord, metric: str) -> int:
    """Decimals for all values of a figure, confirmed ones included."""
    known = [point.value(metric) for point in search.complete]
    found = [c.interval(metric) for c in search.confirmations]
    halves = [(i.high - i.low) / 2 for i in found]
    return numbers.decimals_for([*known, *(i.mean for i in found)], halves)


def _of_one(search: SearchRecord, objective: ObjectiveRecord) -> Headline:
    best = search.by_number[search.chosen[0]] if search.chosen else _ranked(search, objective)[0]
    decimals = decimals_of(search, objective.metric)
    value = figure_text(best.value(objective.metric), decimals)
    confirmed = search.confirmation(best.number)
    sentences = [params_words(best), _optimism(search, objective, value)]
    if not search.over:
        title = f"The search is not over: point {best.number} is the best so far, with "
        title += f"{objective.words} {value}."
        return Headline(title, [*sentences, states_words(search)])
    if confirmed is None:
        title = f"Point {best.number} was chosen, with {objective.words} {value} in the search."
        sentences.append(_unconfirmed(search))
    else:
        mean = interval_text(confirmed.interval(objective.metric), decimals)
        title = f"Point {best.number} was chosen: {objective.words} {value} in the search, "
        title += f"{mean} with fresh seeds."
        sentences += [
            _confirmed(best, confirmed, objective, decimals),
            *_on_test(confirmed, [objective]),
        ]
    if len(search.chosen) > 1:
        others = ", ".join(str(number) for number in search.chosen[1:])
        sentences.append(f"Chosen and confirmed beside it: {others}.")
    return Headline(title, [*sentences, *_runner_up(search, objective, best, decimals)])


def _ranked(search: SearchRecord, objective: ObjectiveRecord) -> list[PointRecord]:
    """Complete points, best first, each equal one once."""
    sign = -1 if objective.mode == "max" else 1
    own = [point for point in search.complete if point.reused is None] or search.complete
    values = {point.number: point.value(objective.metric) for point in own}

    def order(point: PointRecord) -> tuple[bool, float, int]:
        value = values[point.number]
        finite = math.isfinite(value)  # what is not stands last: it would have no place in an order
        return not finite, sign * value if finite else 0.0, point.number

    return sorted(own, key=order)


def _optimism(search: SearchRecord, objective: ObjectiveRecord, value: str) -> str:
    word = "highest" if objective.mode == "max" else "lowest"
    count = len(_ranked(search, objective))
    seeds = f"seed{'s' if len(search.seeds) > 1 else ''} {', '.join(map(str, search.seeds))}"
    if count < 2:
        return f"{value} is of the only complete point, with {seeds}."
    return (
        f"{value} is the {word} of {count} complete points, all with {seeds}: the best of many is "
        "lucky in part, so this figure is optimistic, the more so the more points were tried."
    )


def _unconfirmed(search: SearchRecord) -> str:
    if not search.confirm_seeds:
        return "No fresh seeds were asked for (confirm_seeds), so nothing confirms it."
    return "None of its fresh seeds is done, so nothing confirms it."


def _confirmed(
    point: PointRecord, found: ConfirmationRecord, objective: ObjectiveRecord, decimals: int
) -> str:
    interval = found.interval(objective.metric)
    searched = point.value(objective.metric)
    difference = interval.mean - searched
    if not math.isfinite(difference):
        return f"Trained again with fresh seeds it has no {objective.words} to compare."
    missing = len(found.seeds) - interval.n
    lost = f" ({missing} of {len(found.seeds)} are missing)" if missing else ""
    seeds = f"{numbers.plural(interval.n, 'fresh seed')}{lost}"
    text = f"Trained again with {seeds} it reaches {interval_text(interval, decimals)}"
    text += " (mean, 95% t-interval)" if interval.known else ""
    if abs(difference) < 10.0**-decimals / 2:
        return f"{text}, as much as the search had measured. Quote this figure."
    gap = figure_text(abs(difference), decimals)
    way = "higher" if difference > 0 else "lower"
    inside = ""
    if interval.known:
        lies = "lies within" if interval.low <= searched <= interval.high else "lies outside of"
        inside = f"; the search’s figure {lies} that interval"
    return f"{text}, {gap} {way} than in the search{inside}. Quote this figure, not the search’s."


def _on_test(found: ConfirmationRecord, objectives: list[ObjectiveRecord]) -> list[str]:
    """The test split's figures of what was searched for."""
    columns = [MetricColumn.parse(objective.metric) for objective in objectives]
    wanted = [on_test(column.metric) for column in columns if column]
    sentences = []
    for name in [name for name in wanted if name in found.test_figures]:
        interval = found.interval(name)
        decimals = numbers.decimals_for([interval.mean], [(interval.high - interval.low) / 2])
        sentences.append(
            f"On the test split, which is read for what was chosen only: "
            f"{display_name(MetricKind.TEST.metric_of(name))} "
            f"{interval_text(interval, decimals)} over "
            f"{numbers.plural(interval.n, 'fresh seed')}."
        )
    return sentences


def _runner_up(
    search: SearchRecord, objective: ObjectiveRecord, best: PointRecord, decimals: int
) -> list[str]:
    others = [point for point in _ranked(search, objective) if point.number != best.number]
    if not others:
        return []
    value = others[0].value(objective.metric)
    gap = abs(best.value(objective.metric) - value)
    return [
        f"The next best, point {others[0].number}, has {figure_text(value, decimals)}, "
        f"{figure_text(gap, decimals)} behind. Nothing was tested: that the chosen is really "
        "better than others takes a grid of both, with seeds and a hypothesis."
    ]


def _front_title(search: SearchRecord) -> str:
    aims = " and ".join(objective.words for objective in search.objectives)
    on = f"{len(search.front)} of {numbers.plural(len(search.complete), 'complete point')}"
    if not search.over:
        return f"The search is not over: {on} are on the front of {aims} so far."
    return f"{on} are on the front of {aims}; {len(search.chosen)} were chosen."


def _of_several(search: SearchRecord) -> list[str]:
    sentences = [_chosen_words(search, search.by_number[number]) for number in search.chosen]
    sentences.append(
        "A front is made of the luckiest of many points, so the search’s figures are optimistic, "
        "the more so the more points were tried: quote those of the fresh seeds."
    )
    if search.over and not any(search.confirmation(number) for number in search.chosen):
        sentences.append(_unconfirmed(search))
    return sentences if search.over else [*sentences, states_words(search)]


def _chosen_words(search: SearchRecord, point: PointRecord) -> str:
    """`Point 4: best val Dice 0.905, MACs 1.2 G in the search; 0.890 [0.880, 0.900], 1.2 G …`."""
    confirmed = search.confirmation(point.number)
    searched, fresh = [], []
    for objective in search.objectives:
        decimals = decimals_of(search, objective.metric)
        value = point.value(objective.metric)
        searched.append(f"{objective.words} {figure_text(value, decimals)}")
        found = None if confirmed is None else confirmed.interval(objective.metric)
        if found is not None and not (found.n and math.isclose(found.mean, value, rel_tol=1e-12)):
            fresh.append(f"{objective.words} {interval_text(found, decimals)}")
    text = f"Point {point.number} ({params_words(point)}): {', '.join(searched)} in the search"
    if confirmed is None:
        return f"{text}; not confirmed."
    again = ", ".join(fresh) if fresh else "the same"
    text = f"{text}; {again} with {numbers.plural(len(confirmed.confirmed), 'fresh seed')}."
    return " ".join([text, *_on_test(confirmed, search.objectives)])
