from __future__ import annotations

import json

from bench.analysis.environments import environment_facts, merge
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.manifest import manifest_record, shown
from tests.builders.records import MadeTrial, write_experiment


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


def test_only_finished_trials_and_unreadable_ones_reported(tmp_path):
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


def test_every_value_leads_to_its_trials(tmp_path):
    trials = [
        MadeTrial(seed, {"model": "a"}, environment={"torch": torch, "packages": {"x": "1"}},
                  summary={"data_fingerprint": "f", "git_commit": "c"})
        for seed, torch in enumerate(("2.9", "2.15", "2.15"))
    ]  # fmt: skip
    write_experiment(tmp_path, "exp", trials)
    record = manifest_record(load(Store(tmp_path), "exp"))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    ids = [trial.id for trial in trials]
    assert record["trials"] == ids
    assert record["spec"].startswith("experiment: exp")
    assert record["facts"] == {
        "data_fingerprint": [{"value": "f", "trials": 3}],
        "git_commit": [{"value": "c", "trials": 3}],
        "torch": [
            {"value": "2.15", "trials": 2, "ids": ids[1:]},
            {"value": "2.9", "trials": 1, "ids": ids[:1]},
        ],
        "packages.x": [{"value": "1", "trials": 3}],
    }


def test_what_all_agree_in_is_one_line_a_group():
    one = {"python": "3.11", "packages": {"x": "1", "y": "1", "z": "3"}, "placement_why": "a",
           "variables": {"EMPTY": ""}}  # fmt: skip
    other = one | {"packages": {"x": "1", "y": "2", "z": "3"}, "placement_why": "b"}
    assert [(fact.name, fact.values) for fact in shown(merge([one, other]))] == [
        ("python", [("3.11", 2)]),
        ("packages", [("x 1, z 3", 2)]),
        ("packages.y", [("1", 1), ("2", 1)]),
        ("variables", [("EMPTY (empty)", 2)]),
    ]
