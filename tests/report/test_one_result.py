"""One contrast, one result: what shows a difference that a hypothesis tests shows its verdict."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench.analysis import stats
from bench.analysis.arms import arms_of
from bench.analysis.contrasts import Word
from bench.analysis.explored import explore
from bench.analysis.hypotheses import HypothesisOutcome, outcomes
from bench.analysis.leaderboard import leaderboards
from bench.analysis.load import load
from bench.analysis.records import Records
from bench.record.store import Store
from bench.report.figures import forest
from bench.report.format.cells import Table, format_p
from bench.report.format.latex_text import latex
from bench.report.format.markup import to_latex
from bench.report.page import write_one
from bench.report.tables.effects import EffectTables, all_effect_tables, table_together
from bench.report.tables.verdicts import verdict_cards, verdict_table
from tests.builders.records import MadeTrial, write_experiment

DICE = "best_val_dice"


def random_study(rng: np.random.Generator) -> tuple[list[MadeTrial], list[dict[str, Any]]]:
    """Up to three models and two augmentations, some trials failed, and claims about the axes."""
    axes = {"model": list("abc")[: rng.integers(2, 4)], "augment": list("xy")[: rng.integers(1, 3)]}
    shift = {label: rng.choice([0.0, 0.01, 0.04]) for label in "abcxy"}
    trials = []
    for model, augment, seed in itertools.product(*axes.values(), range(rng.integers(3, 7))):
        made = MadeTrial(int(seed), {"model": model, "augment": augment})
        if rng.random() < 0.05:
            made.status, made.failure = "failed", str(rng.choice(["diverged", "crash"]))
        else:
            dice = 0.5 + shift[model] + shift[augment] + rng.normal(0, 0.01)
            made.summary = {DICE: float(dice), "epoch_seconds": float(rng.normal(9, 1))}
        trials.append(made)
    claims: list[dict[str, Any]] = []
    for axis, levels in axes.items():
        for pair in itertools.combinations(levels, 2):
            for _ in range(rng.integers(0, 3)):  # none, one or two of the same difference
                a, b = rng.permutation(pair)
                expect = str(rng.choice(["higher", "lower", "equivalent", "not_higher"]))
                margin = 0.02 if expect in ("equivalent", "not_higher") else None
                claims.append({"id": f"h{len(claims)}", "claim": "c", "metric": DICE,
                               "a": {axis: str(a)}, "b": {axis: str(b)}, "expect": expect,
                               "margin": margin})  # fmt: skip
    return trials, claims


def made(root: Path, seed: int) -> tuple[Records, list[HypothesisOutcome], list[EffectTables]]:
    trials, claims = random_study(np.random.default_rng(seed))
    write_experiment(root, "exp", trials, hypotheses=claims)
    records = load(Store(root), "exp")
    tested = outcomes(records)
    return records, tested, all_effect_tables(records, tested)


def row_with(table: Table, text: str) -> dict[str, str]:
    """The only row with a cell of this text, by the columns' titles."""
    (found,) = [row for row in table.rows if text in [cell.text for cell in row]]
    return {c.title: cell.text for c, cell in zip(table.columns, found, strict=True)}


def markers(ax: Axes, row: int) -> list[tuple[str, str]]:
    """Marker and face colour of what stands in a row of a forest plot."""
    lines = [line for line in ax.lines if list(line.get_ydata()) == [row]]
    return [(str(line.get_marker()), to_hex(line.get_markerfacecolor())) for line in lines]


def check_explored(
    records: Records, tested: list[HypothesisOutcome], effects: list[EffectTables]
) -> None:
    """All that no hypothesis declares is one family by Holm, and says clear or not clear."""
    found = explore(records, tested)
    frames = [frame for each in (found.differences, found.interactions) for frame in each.values()]
    rows = pd.concat([frame[frame["hypothesis"] == ""] for frame in frames], ignore_index=True)
    pairs = [one.result for each in found.leading.values() for one in each if one.outcome is None]
    p = [*rows["p"], *(result.p for result in pairs)]
    corrected = [*rows["p_corrected"], *(result.p_corrected for result in pairs)]
    if "augment" in records.axes and len(records.axes["augment"]) > 1:  # else the pair is a row
        assert np.allclose(corrected, stats.holm(p), equal_nan=True)
    for word, value in zip(rows["conclusion"], rows["p_corrected"], strict=True):
        assert word == ("clear" if value <= 0.05 else "not clear") or word == "not clear"
    for effect in effects:
        frame, table = effect.frames["differences"], effect.tables["differences"]
        words = [cell.text for cell in table.columns[-1].cells]
        for row, word in zip(frame.itertuples(), words, strict=True):
            expected = "clear" if row.conclusion == "clear" else "not clear (explored)"
            assert word == (f"{row.verdict} ({row.hypothesis})" if row.hypothesis else expected)


@pytest.mark.parametrize("seed", range(25))
def test_every_part_shows_the_verdict(tmp_path: Path, seed: int) -> None:
    records, tested, effects = made(tmp_path, seed)
    dice = next(effect for effect in effects if effect.column == DICE)
    table, together = dice.tables["differences"], table_together(effects, "differences")
    frame = dice.frames["differences"]
    ax = Figure().subplots()
    keys = forest.difference_rows([dice])
    forest.draw_differences(ax, frame, keys)
    for outcome, card in zip(tested, verdict_cards(records, tested), strict=True):
        name, verdict = outcome.hypothesis.id, str(outcome.verdict)
        record = json.loads(json.dumps(outcome.record()))
        p, word = format_p(outcome.result.p_corrected), f"{verdict} ({name})"
        assert (record["verdict"], card.verdict) == (verdict, verdict)
        assert format_p(record["p_corrected"] if record["p_corrected"] is not None else np.nan) == p
        assert dict(card.facts)["p (Holm)"] == p
        assert row_with(verdict_table(tested), name)["p (Holm)"] == p
        (row,) = frame[frame["hypothesis"] == name].itertuples()
        assert (row.verdict, format_p(row.p_corrected)) == (verdict, p)
        assert {row.estimate, -row.estimate} >= {record["estimate"]} or record["estimate"] is None
        assert row.n == record["n_pairs"]
        for shown in (table, together):
            assert row_with(shown, word)["p (Holm)"] == p
        line = next(line for line in to_latex(together).splitlines() if latex(word) in line)
        assert f"& {latex(p)} &" in line
        rows = forest.verdict_rows(tested)
        assert rows[(rows["id"] == name) & (rows["verdict"] != "")]["verdict"].tolist() == [verdict]
        first = frame[(frame["axis"] == row.axis) & (frame["a"] == row.a) & (frame["b"] == row.b)]
        if first["hypothesis"].iloc[0] == name and np.isfinite(row.estimate):
            tone = forest.PAPER if verdict == "inconclusive" else forest.TONES[Word(verdict)]
            assert markers(ax, keys.index((row.axis, row.a, row.b))) == [("D", tone)]
    check_explored(records, tested, effects)


@pytest.mark.parametrize("seed", range(10))
def test_marks_do_not_contradict_verdicts(tmp_path: Path, seed: int) -> None:
    """Of experiments with one axis: what a verdict calls worse than another arm has no mark."""
    trials, claims = random_study(np.random.default_rng(100 + seed))
    trials = [trial for trial in trials if trial.axes["augment"] == "x"]
    claims = [claim for claim in claims if "model" in claim["a"]]
    write_experiment(tmp_path, "exp", trials, hypotheses=claims)
    records = load(Store(tmp_path), "exp")
    tested, arms = outcomes(records), arms_of(records)
    numbers = {arm.levels["model"]: arm.number for arm in arms}
    (board,) = leaderboards(records, arms, DICE, "max", tested)
    for outcome in tested:
        a, b = (numbers[side["model"]] for side in (outcome.hypothesis.a, outcome.hypothesis.b))
        expect, word = outcome.hypothesis.expect, outcome.verdict
        settled = word in (Word.SUPPORTED, Word.REFUTED)
        if expect in ("higher", "lower") and settled:
            assert (b if outcome.result.estimate.mean > 0 else a) not in board.marks


def test_the_files_of_a_report_agree(tmp_path: Path) -> None:
    records, tested, _ = made(tmp_path / "results", 4)
    assert len(tested) > 2
    page = write_one(records, tmp_path / "report")
    written = json.loads((page.parent / "verdicts.json").read_text())
    table = page.parent / "tables" / "differences.csv"
    differences = pd.read_csv(table, float_precision="round_trip")
    html = page.read_text()
    for record in written:
        (row,) = differences[differences["hypothesis"] == record["id"]].itertuples()
        assert row.verdict == record["verdict"]
        known = record["p_corrected"]
        assert np.isnan(row.p_corrected) if known is None else row.p_corrected == known
        word = f"{record['verdict']} ({record['id']})"
        assert word in html
        for ending in ("md", "tex"):
            text = (page.parent / "tables" / f"differences.{ending}").read_text()
            assert word in text.replace("\\", "")
