"""Pages of studies that repeat seeds until settled, and of fixed ones that grew."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.commands.inspect import plan_rows
from bench.commands.look_lines import plan_look_lines, status_look_lines, with_further
from bench.experiment.looks_log import keep_log
from bench.experiment.reports import make_report
from bench.plan.trial import Trial
from bench.report.narrative.look_notes import look_cautions
from bench.report.tables.verdicts import verdict_cards, verdict_table
from tests.builders.experiments import finish, planned
from tests.builders.settled import SPEC, Study, dice


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    study = Study(tmp_path_factory.mktemp("study"))
    study.run()
    return study


def test_cards_say_at_which_look_they_stopped(study: Study) -> None:
    records = load(study.store, "settled")
    clear, slow, same = verdict_cards(records, outcomes(records))
    assert (clear.verdict, clear.look) == ("supported", ", stopped at look 1 of 6 (3 seeds)")
    assert clear.notes[:2] == [
        "Stopped early: the size is rather overstated; the interval allows for it.",
        "7 trials of later seeds came after this look and do not count.",  # of a
    ]
    assert {len(ids) for _, ids in clear.trials} == {3}
    names = dict(clear.facts)
    assert "p over all looks" in names
    assert "a − b [95% repeated t-interval]" in names
    assert slow.look == ", open after look 6 of 6 (10 seeds)"
    assert same.notes[0] == "Stopped early: the interval allows for it."
    assert look_cautions(records, outcomes(records)) == ()


def test_the_table_of_verdicts_has_their_looks(study: Study) -> None:
    table = verdict_table(outcomes(load(study.store, "settled")))
    (column,) = (each for each in table.columns if each.title == "Look")
    assert column.cells[0].text == "stopped at look 1 of 6 (3 seeds)"


def test_status_says_where_every_hypothesis_stands(study: Study) -> None:
    lines = status_look_lines(study.store, "settled")
    assert lines == [
        "settled: Look 6 of 6 (10 seeds): 2 settled, 1 open.",
        "  clear: supported, stopped at look 1 of 6 (3 seeds).",
        "  slow: open after the last look (10 seeds).",
        "  same: equivalent, stopped at look 3 of 6 (5 seeds).",
        "That was the last look.",
    ]


def test_a_page_has_them_and_remembers_no_report(study: Study) -> None:
    page = make_report(study.store, "settled", study.folder / "reports")
    html = page.read_text()
    assert "supported, stopped at look 1 of 6 (3 seeds)" in html
    assert "reports" not in study.store.looks("settled")


def test_plan_says_how_many_trials_there_may_be(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC.replace("max: 10", "max: 5, budget: 2h"))
    first, second = plan_look_lines(plan)
    assert first.startswith("12 to 20 trials: 3 seeds of every arm, then as many as hypotheses")
    assert first.endswith("at most 5; looks at 3, 4 and 5 seeds.")
    assert second == "No further seeds after 2h of training."
    rows = with_further(plan_rows(plan, cost=False), plan)
    assert [row["look"] for row in rows] == [3] * 12 + [4] * 4 + [5] * 4
    assert len({row["id"] for row in rows}) == 20
    assert json.dumps(rows)


def test_plan_does_not_name_a_range_where_no_seed_is_asked_for(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC.replace("max: 10", "looks: [3]"))
    assert plan_look_lines(plan) == [
        "12 trials: 3 seeds of every arm, and no hypothesis asks for more."
    ]


def test_plans_of_fixed_seeds_say_nothing_of_it(tmp_path: Path) -> None:
    plan = planned(tmp_path, SPEC.replace("{until: settled, max: 10}", "3"))
    assert plan_look_lines(plan) == []
    rows = plan_rows(plan, cost=False)
    assert with_further(rows, plan) == rows


def fixed(folder: Path, seeds: int) -> Study:
    """So many seeds, all done, and a report."""
    study = Study(folder, SPEC.replace("{until: settled, max: 10}", str(seeds)))
    plan = planned(folder, study.text)
    study.store.write_plan(plan.experiment, plan.record() | {"notes": []})
    for trial in plan.trials:
        if not study.store.trial(plan.experiment, trial.id).status_path.exists():
            finish(study.store, plan, trial, {"test_dice": dice(trial)})
    make_report(study.store, "settled", folder / "reports")
    return study


def test_a_fixed_number_that_grew_prints_what_its_looks_cost(tmp_path: Path) -> None:
    page = tmp_path / "reports" / "settled" / "report.md"
    fixed(tmp_path, 5)
    make_report(Study(tmp_path).store, "settled", tmp_path / "reports")  # the same look
    assert "false claims instead" not in page.read_text()
    study = fixed(tmp_path, 10)
    text = "looked at 5 and at 10 seeds: up to 8.7% false claims instead of 5%"
    assert text in page.read_text()
    # and seeds that are repeated from now on do not account for it
    repeated = Study(tmp_path)
    repeated.plan()
    records = load(study.store, "settled")
    (caution,) = look_cautions(records, outcomes(records))
    assert caution.startswith("reports tested hypotheses at 5 and 10 seeds, at the full level")


def test_looks_cost_once_seeds_are_fixed(tmp_path: Path) -> None:
    """Those taken until all was settled were at levels of their own; now each has all of it."""
    study = Study(tmp_path)
    plan, found = study.plan()
    study.train(plan, plan.trials)
    plan, found = study.plan()
    keep_log(study.store, "settled", found.log)
    fixed(tmp_path, 5)
    page = (tmp_path / "reports" / "settled" / "report.md").read_text()
    assert "looked at 3 and at 5 seeds: up to 8" in page


def test_edited_looks_test_nothing(tmp_path: Path) -> None:
    study = Study(tmp_path)
    plan = study.plan()[0]
    study.train(plan, plan.trials)
    path = study.store.plan_path("settled")
    record = json.loads(path.read_text())
    del record["repeats"]
    path.write_text(json.dumps(record))
    records = load(study.store, "settled")
    assert records.hypotheses == ()
    assert "hypotheses, looks or design in plan.json were changed" in " ".join(records.cautions)


def test_futility_and_budget_are_told(tmp_path: Path) -> None:
    def figure(trial: Trial) -> float:
        return 0.80 + 0.02 * (trial.seed % 2 - 0.5) * (trial.axes["train.lr"] == "c")

    study = Study(tmp_path, SPEC.replace("max: 10", "max: 20, budget: 80s"), figure)
    study.run()
    records = load(study.store, "settled")
    cards = {card.id: card for card in verdict_cards(records, outcomes(records))}
    notes = " ".join(note for card in cards.values() for note in card.notes)
    assert "More seeds will hardly help" in notes or "budget of 1m20s" in notes
    assert "of its test must fall below" in notes
