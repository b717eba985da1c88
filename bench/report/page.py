"""The report of an experiment: one HTML file, the same in Markdown, tables and figures as files."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from bench import __version__
from bench.errors import StoreError
from bench.plan.comparable import caution
from bench.record.columns import Status
from bench.record.files import write_bytes, write_json, write_text
from bench.record.store import Store
from bench.report import findings, layout
from bench.report.arms import OWN, Arm, arm_numbers, arms_of
from bench.report.figures import Drawing, draw_all
from bench.report.hypotheses import outcomes, restated
from bench.report.load import Records, load
from bench.report.manifest import environment_facts
from bench.report.samples import sample_pictures
from bench.report.table import arm_summary, text_facts, write_csv, write_csvs
from bench.report.wording import title, words_of
from bench.spec.hypotheses import Hypothesis

TEMPLATES = Path(__file__).parent / "templates"


def write_report(
    store: Store,
    experiments: Sequence[str],
    out: Path,
    hypotheses: Mapping[str, tuple[Hypothesis, ...]] | None = None,
) -> Path:
    """Write the reports of experiments under `out`.

    Args:
        store: where the records are.
        experiments: their names; each gets its own folder `out/<experiment>/`.
        out: created where it is not there.
        hypotheses: by experiment, instead of those that were planned.

    Returns:
        The path of the last experiment's report.html.

    Raises:
        StoreError: there is no such experiment, its plan cannot be read, `out` is not writable.
    """
    if not experiments:
        raise StoreError(f"{store.root}: no experiment to report on")
    pages = []
    for name in experiments:
        records = load(store, name)
        if hypotheses and name in hypotheses:
            records = restated(records, hypotheses[name])
        pages.append(write_one(records, out / name))
    return pages[-1]


def write_one(records: Records, folder: Path) -> Path:
    """Write one experiment's report into `folder` and return the path of report.html."""
    arms = arms_of(records)
    summary = arm_summary(records)
    drawings = draw_all(records, summary, arms)
    context = page_context(records, summary, arms, drawings)
    for drawing in drawings:
        write_bytes(folder / "figures" / f"{drawing.name}.png", drawing.png)
    write_csvs(records, folder)
    write_json(folder / "verdicts.json", [outcome.record() for outcome in outcomes(records)])
    write_csv(summary, folder / "tables" / "arms.csv")
    write_text(folder / "tables" / "arms.tex", layout.to_latex(context["arm_table"]))
    templates = _templates()
    write_text(folder / "report.md", templates.get_template("report.md.j2").render(context))
    page = folder / "report.html"
    write_text(page, templates.get_template("report.html.j2").render(context))
    return page


def page_context(
    records: Records, summary: pd.DataFrame, arms: list[Arm], drawings: list[Drawing]
) -> dict[str, Any]:
    """What the templates show."""
    pictures, without = sample_pictures(records, summary, arms)
    facts = environment_facts(records)
    numbers = arm_numbers(records, arms)
    trials = records.runs["id"].groupby(numbers).agg(list)
    return {
        "records": records,
        "arms": arms,
        "headline": findings.headline(records, summary, arms),
        "cautions": caution(records.incomparable, records.metrics, records.axes) + records.cautions,
        "progress": findings.progress(records),
        "sources": sorted({arm.source for arm in arms} - {OWN}),
        "baseline": findings.baseline_check(records, summary, arms),
        "mixed": findings.mixed(records, facts),
        "words": words_of(records.task),
        "arm_table": layout.arm_table(records, summary),
        "told": _told(records),
        "trial_table": layout.trial_table(records),
        "trials": {arm.number: trials[arm.number] for arm in arms},
        "drawings": drawings,
        "samples": pictures,
        "arms_without_samples": without,
        **_troubles(records, numbers, arms),
        "facts": facts,
        "made": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "version": __version__,
    }


def _told(records: Records) -> list[tuple[str, list[str]]]:
    """What the task says of finished trials in words: each fact's name and its values."""
    known = {name: records.done[name].dropna().unique() for name in text_facts(records)}
    return [(title(name), list(values)) for name, values in known.items() if len(values)]


def _troubles(
    records: Records, numbers: pd.Series[int], arms: list[Arm]
) -> dict[str, list[dict[str, str]]]:
    """The trials that failed, that are not finished, and finished ones with a message, as texts."""
    runs = records.runs[["id", "status", "failure", "message"]]
    labels = numbers.map({arm.number: arm.label for arm in arms})
    texts = runs.fillna("").assign(arm=labels)
    failed, done = texts["status"] == Status.FAILED, texts["status"] == Status.DONE
    chosen = {
        "failures": failed,
        "unfinished": ~failed & ~done,
        "remarks": done & (texts["message"] != ""),
    }
    return {
        name: [{str(k): str(v) for k, v in row.items()} for row in texts[rows].to_dict("records")]
        for name, rows in chosen.items()
    }


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(["html.j2"], default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "data_uri": _data_uri,
        "md": layout.markdown,
        "md_table": layout.to_markdown,
        "fenced": _fenced,
    }
    return environment


def _data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _fenced(text: str) -> str:
    """A Markdown code block that the text cannot end."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}yaml\n{text.rstrip()}\n{fence}"
