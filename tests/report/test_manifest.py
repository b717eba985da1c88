from __future__ import annotations

from bench.record.store import Store
from bench.report.load import load
from bench.report.manifest import environment_facts, merge

from .made_records import MadeTrial, write_experiment


def test_nested_facts_are_merged_with_counts():
    same = {"python": "3.11", "versions": {"torch": "2.15"}, "flags": ["a", "b"], "none": None}
    facts = merge([same, same, {"python": "3.12", "versions": {"torch": "2.15"}}])
    assert [(f.name, f.values, f.mixed) for f in facts] == [
        ("python", [("3.11", 2), ("3.12", 1)], True),
        ("versions.torch", [("2.15", 3)], False),
        ("flags", [("a, b", 2)], False),
    ]


def test_many_values_are_counted():
    (fact,) = merge([{"host": str(i)} for i in range(7)])
    assert len(fact.values) == 4
    assert fact.more == 3


def test_only_finished_trials_and_unreadable_ones_told(tmp_path):
    trials = [
        MadeTrial(0, environment={"python": "3.11"}),
        MadeTrial(1, environment={"python": "3.12"}),
        MadeTrial(2, status="failed", environment={"python": "2.7"}),
    ]
    write_experiment(tmp_path, "exp", trials)
    (tmp_path / "exp" / trials[1].id / "environment.json").write_text("[")
    facts = environment_facts(load(Store(tmp_path), "exp"))
    assert {f.name: f.values for f in facts} == {
        "python": [("3.11", 1)],
        "environment.json": [("cannot be read", 1)],
    }
