from __future__ import annotations

import pytest

from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.tables.verdicts import verdict_cards, verdict_counts, verdict_table
from tests.builders.records import MadeTrial, write_experiment

B_BETTER = {
    "id": "b_better", "claim": "b is better", "metric": "best_val_dice", "expect": "higher",
    "a": {"model": "b"}, "b": {"model": "a"},
}  # fmt: skip
SAME = B_BETTER | {"id": "same", "claim": "no change", "expect": "equivalent", "margin": 0.001}
LARGE = B_BETTER | {"id": "large", "claim": "b is larger", "metric": "params"}
ABOVE = B_BETTER | {"id": "above", "claim": "b is over a half", "b": 0.5}


@pytest.fixture
def made(tmp_path):
    sizes = {"a": 1_000_000, "b": 13_395_394}
    values = {
        ("a", "n"): (0.50, 0.52, 0.51, 0.50),
        ("b", "n"): (0.60, 0.63, 0.60, 0.61),
        ("a", "e"): (0.54, 0.55, 0.53, 0.52),
        ("b", "e"): (0.70, 0.74, 0.71, 0.70),
    }
    trials = [
        MadeTrial(seed, {"model": model, "augment": augment},
                  summary={"best_val_dice": value, "params": sizes[model]})
        for (model, augment), found in values.items() for seed, value in enumerate(found)
    ]  # fmt: skip
    trials[0].status, trials[0].failure = "failed", "out_of_memory"
    write_experiment(tmp_path, "exp", trials, hypotheses=[B_BETTER, SAME, LARGE, ABOVE])
    records = load(Store(tmp_path), "exp")
    return records, outcomes(records)


def test_a_card_has_verdict_sentence_and_numbers(made):
    records, found = made
    card, _, large, above = verdict_cards(records, found)
    assert (card.id, card.claim) == ("b_better", "b is better")
    assert (card.verdict, card.symbol) == ("supported", "✓")
    # seed 0 failed with n; the others: e 0.19, 0.18, 0.18; n 0.11, 0.09, 0.11
    assert card.sentence.startswith("b's best validation Dice is higher than a's by 0.143 [")
    assert card.sentence.endswith(
        "supported; 3 of 4 seeds are complete: a · n lacks seed 0 (out of memory); out of memory: "
        "b 0 of 8 trials, a 1 of 8."
    )
    assert card.facts[:5] == [
        ("figure", "best validation Dice"),
        ("expected", "higher"),
        ("a − b [95% t-interval]", "+0.143 [0.124, 0.162]"),
        ("seeds", "3 of 4 complete"),
        ("p", "<0.001"),
    ]
    assert ("out of memory", "b 0 of 8 trials, a 1 of 8") in card.facts
    assert card.facts[-1] == ("trials without the figure", "1")
    assert dict(large.facts)["a − b [95% t-interval]"] == "+12.4 M"
    assert [side for side, _ in above.trials] == ["a: model b"]


def test_every_trial_behind_a_verdict_is_named(made):
    records, found = made
    sides = verdict_cards(records, found)[0].trials
    assert [side for side, _ in sides] == ["a: model b", "b: model a"]
    for (_, ids), model in zip(sides, "ba", strict=True):
        assert ids == records.runs.loc[records.runs["axis.model"] == model, "id"].tolist()


def test_strata(made):
    strata = verdict_cards(*made)[0].strata
    assert strata is not None
    assert [[cell.text for cell in row] for row in strata.rows] == [
        ["n", "+0.103", "3", "0.004", "1"], ["e", "+0.177", "4", "<0.001", "0"],
    ]  # fmt: skip
    assert [column.title for column in strata.columns][-1] == "Missing"


def test_verdicts_are_counted_and_tabulated(made):
    _, found = made
    assert verdict_counts(found) == "4 hypotheses: 2 supported, 1 refuted, 1 inconclusive."
    assert verdict_counts(found[:1]) == "1 hypothesis: 1 supported."
    rows = verdict_table(found).rows
    assert [row[0].text for row in rows] == ["b_better", "same", "large", "above"]
    assert [row[2].text for row in rows] == ["supported", "refuted", "supported", "inconclusive"]
    assert rows[0][-1].text == "1"
