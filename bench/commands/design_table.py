"""`bench plan` of an ablation design: its configurations as a table of ticks, and how many runs."""

from __future__ import annotations

from collections import Counter

from rich.table import Table
from rich.text import Text

from bench.errors import printable
from bench.plan.design import CONFIGURATION, ON, TO, Design, DesignKind
from bench.plan.fraction import effect_name
from bench.plan.plan import Plan

TICK, NO_TICK = "✓", "–"


def design_table(plan: Plan) -> Table | None:
    """A row for each planned configuration, a column for each component; None without a design."""
    design = plan.design
    if design is None:
        return None
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(CONFIGURATION, no_wrap=True)
    for component in design.components:
        table.add_column(Text(printable(component)), overflow="fold")
    for label in plan.axes[CONFIGURATION]:
        cells = [tick(design, label, component) for component in design.components]
        table.add_row(*(Text(printable(cell)) for cell in (label, *cells)))
    return table


def tick(design: Design, label: str, component: str) -> str:
    """What a configuration has of a component: a tick, a dash, or the alternative that it takes."""
    level = design.configurations[label][component]
    if design.kind is not DesignKind.ONE_AT_A_TIME:
        return TICK if level in (ON, TO) else NO_TICK
    changed = level != design.levels[component][0]
    return level if changed or label == design.reference else "·"


def design_lines(plan: Plan) -> list[str]:
    """How many runs there are beside a full factorial's, and what a fraction confounds."""
    design = plan.design
    if design is None:
        return []
    configurations = len(plan.axes[CONFIGURATION])
    counts = Counter(trial.axes[CONFIGURATION] for trial in plan.trials)
    repeats = max(counts.values())  # seeds, folds and combinations of other axes; some may exclude
    components = len(design.components)
    of_all = (
        f"{len(plan.trials)} trials of {configurations} "
        f"configuration{'s' * (configurations > 1)}; a full factorial of the {components} "
        f"component{'s' * (components > 1)} has {design.combinations}, which would be "
        f"{design.combinations * repeats} trials"
    )
    lines = [f"Design {str(design.kind).replace('_', ' ')}: {of_all}."]
    most = design.most_configurations
    if design.kind is DesignKind.PATH and most > configurations:
        lines.append(
            "That is the first round of the path; with all rounds it has "
            f"{most} configurations, {plan.most_trials} trials."
        )
    if design.fraction is not None:
        generators = "; ".join(design.fraction.generators)
        lines.append(f"Resolution {design.resolution}, by {generators}.")
        sets = [each for each in design.fraction.alias_sets if len(each) > 1]
        lines += [f"Confounded: {' = '.join(map(effect_name, each))}." for each in sets]
    return lines
