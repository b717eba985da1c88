"""Extractors in a plan: settled into identities, refused with file, line and remedy."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from bench.errors import SpecError
from bench.experiment.earlier_experiments import check_extractor_works, finished, lookup
from bench.plan.expand import load_trial, make_plan, trial_config
from bench.plan.extractor import resolve_extractors
from bench.plan.plan import Plan
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.spec.load import load_spec
from bench.states import Status
from bench.tasks import frechet as module
from bench.tasks.frechet_settings import ResolvedExtractor
from tests.builders.classifier import LEARNS_KINDS, classifier, put, put_plan
from tests.builders.training import make_trial

HEAD = """\
experiment: later
data: {name: shapes, image_size: 32, normalize: symmetric}
model: {name: ddpm_unet, width: 0.1}
train: {epochs: 1}
seeds: 2
"""


@dataclass(frozen=True)
class Workspace:
    """A folder with records and specs."""

    root: Path

    def plan(
        self, frechet: str, more: str = "", results: str = "results", *, trust_code: bool = False
    ) -> Plan:
        """Of a spec whose seventh line has the distance's settings."""
        path = self.root / "spec.yaml"
        path.write_text(f"{HEAD}task:\n  {{name: diffusion, frechet: {frechet}}}\n{more}")
        store = Store(self.root / results)
        plan = make_plan(load_spec(path))
        find = lookup(store, self.root)
        return resolve_extractors(
            plan, find, finished(store), check_extractor_works, trust_code=trust_code
        )

    def put(self, label: str = "small", score: float = 0.5, weights: int = 0) -> TrialFiles:
        return put(self.root / "results", classifier(label), score, weights)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return Workspace(tmp_path)


@pytest.fixture
def inception(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is taken for Inception's weights."""
    file = module.inception_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    monkeypatch.setattr(module, "file_sha256", lambda path: "0cc3c7bd" + 56 * "0")
    return file


def resolved(plan: Plan) -> ResolvedExtractor:
    frechet = plan.trials[0].settings.task.frechet
    assert all(trial.settings.task.frechet == frechet for trial in plan.trials)
    assert frechet.resolved is not None
    return frechet.resolved


def ids(plan: Plan) -> list[str]:
    return [trial.id for trial in plan.trials]


def test_a_plan_without_a_distance_stays_as_it_is(workspace: Workspace) -> None:
    plan = workspace.plan("null")
    assert plan.trials[0].settings.task.frechet is None


def test_a_classifier_is_its_settings_and_weights(workspace: Workspace) -> None:
    files = workspace.put()
    plan = workspace.plan(f"{{classifier: {files.folder}}}")
    found = resolved(plan)
    assert found.name == f"classifier kinds/{files.id}"
    assert Path(found.file) == files.best
    assert plan.trials[0].identity["task"]["frechet"] == {
        "samples": 2048,
        "extractor": "classifier",
        "classifier": {
            "source": "classifier",
            "exactly": files.id.rpartition("-")[2],
            "sha256": module.file_sha256(files.best),
        },
    }


def test_ids_stay_where_folders_and_labels_change(workspace: Workspace) -> None:
    files = workspace.put()
    expected = ids(workspace.plan(f"{{classifier: {files.folder}}}"))
    put_plan(workspace.root / "results", classifier())
    for other in (files.id, f"kinds/{files.id}", "{experiment: kinds}"):
        assert ids(workspace.plan(f"{{classifier: {other}}}")) == expected
    assert ids(workspace.plan(f"{{extractor: classifier, classifier: {files.id}}}")) == expected
    (workspace.root / "results").rename(workspace.root / "moved")
    moved = workspace.plan(f"{{classifier: {files.id}}}", results="moved")
    assert ids(moved) == expected
    assert Path(resolved(moved).file) == workspace.root / "moved" / "kinds" / files.id / "best.pt"
    renamed = TrialFiles(workspace.root / "moved" / "kinds" / classifier("tiny").id)
    (workspace.root / "moved" / "kinds" / files.id).rename(renamed.folder)
    renamed.write_config(trial_config(classifier("tiny")))
    assert ids(workspace.plan(f"{{classifier: {renamed.folder}}}")) == expected


def test_another_classifier_makes_other_trials(workspace: Workspace) -> None:
    files = workspace.put()
    first = ids(workspace.plan(f"{{classifier: {files.folder}}}"))
    workspace.put(weights=1)
    again = ids(workspace.plan(f"{{classifier: {files.folder}}}"))
    # the same weights under another normalisation
    data = LEARNS_KINDS["data"] | {"normalize": "unit"}
    other = put(workspace.root / "results", classifier(data=data), weights=1)
    third = ids(workspace.plan(f"{{classifier: {other.folder}}}"))
    assert len({*first, *again, *third}) == 6


def test_the_best_of_an_experiment_or_of_an_arm(workspace: Workspace) -> None:
    trials = [classifier(label, seed) for label in ("small", "big") for seed in (0, 1)]
    for number, (trial, score) in enumerate(zip(trials, (0.2, 0.4, 0.9, 0.3), strict=True)):
        put(workspace.root / "results", trial, score, number)
    put_plan(workspace.root / "results", *trials)
    assert resolved(workspace.plan("{classifier: {experiment: kinds}}")).name.endswith(trials[2].id)
    plan = workspace.plan("{classifier: {experiment: kinds, where: {model: small}, pick: best}}")
    assert resolved(plan).name.endswith(trials[1].id)
    assert plan.trials[0].arm == plan.trials[1].arm


def test_inception_by_its_full_name(workspace: Workspace, inception: Path) -> None:
    plan = workspace.plan("{}")
    assert plan.trials[0].identity["task"]["frechet"] == {
        "samples": 2048,
        "extractor": {
            "source": "inception",
            "exactly": "Inception_V3_Weights.IMAGENET1K_V1",
            "sha256": "0cc3c7bd",
        },
        "classifier": None,
    }
    assert Path(resolved(plan).file) == inception
    assert ids(workspace.plan("{extractor: inception}")) == ids(plan)


def test_auto_has_the_identity_of_what_it_takes(workspace: Workspace, inception: Path) -> None:
    files = workspace.put()
    by_auto = workspace.plan(f"{{classifier: {files.folder}}}")
    assert ids(by_auto) == ids(workspace.plan("{extractor: inception}"))
    by_name = workspace.plan(f"{{extractor: classifier, classifier: {files.folder}}}")
    inception.unlink()
    assert ids(workspace.plan(f"{{classifier: {files.folder}}}")) == ids(by_name) != ids(by_auto)


def test_what_was_settled_comes_back_from_the_record(workspace: Workspace) -> None:
    plan = workspace.plan(f"{{classifier: {workspace.put().folder}}}")
    for made in plan.trials:
        again = load_trial(trial_config(made))
        assert (again.id, again.settings) == (made.id, made.settings)


def test_arms_with_other_extractors_belong_in_one_table(workspace: Workspace) -> None:
    small, big = workspace.put("small", weights=0), workspace.put("big", weights=1)
    axis = f"grid:\n  task.frechet.classifier:\n    a: {small.folder}\n    b: {big.folder}\n"
    one, other = workspace.plan("{samples: 8}", axis).trials[:2]
    assert one.settings.task.frechet.resolved.name == f"classifier kinds/{small.id}"
    assert other.settings.task.frechet.resolved.name == f"classifier kinds/{big.id}"
    assert one.common == other.common
    assert one.arm != other.arm


def test_arms_that_have_become_equal_are_refused(workspace: Workspace) -> None:
    files = workspace.put()
    axis = f"grid:\n  task.frechet.classifier:\n    a: {files.folder}\n    b: {files.id}\n"
    with pytest.raises(
        SpecError,
        match=r"spec\.yaml:11: grid\.task\.frechet\.classifier\.b: the arms \(a\) and \(b\) take",
    ):
        workspace.plan("{samples: 8}", axis)


def test_one_that_is_not_there_is_refused_at_its_line(workspace: Workspace) -> None:
    for frechet, key, message in (
        ("{}", "", r"no Inception weights at .*torch.*\.pth: get https.* or name a trained"),
        ("{extractor: inception}", r"\.extractor", "no Inception weights at"),
        ("{classifier: gone}", r"\.classifier", r"'gone' is neither a trial's folder nor its id"),
        ("{classifier: kinds/small}", r"\.classifier", "no experiment 'kinds'"),
        ("{classifier: {experiment: kinds}}", r"\.classifier", "no experiment 'kinds' .*first"),
        (f"{{classifier: {workspace.root}}}", r"\.classifier", r"it has no config\.yaml"),
        (
            "{classifier: {source: classifier, exactly: x, sha256: x, name: x, file: x}}",
            r"\.classifier",
            "`source` is set by planning",
        ),
    ):
        with pytest.raises(SpecError, match=rf"^.*spec\.yaml:7: task\.frechet{key}: .*{message}"):
            workspace.plan(frechet)


def test_an_axis_of_extractors_is_named_too(workspace: Workspace) -> None:
    axis = f"grid:\n  task.frechet:\n    a: {{classifier: {workspace.put().folder}}}\n    b: {{}}\n"
    with pytest.raises(SpecError, match=r"spec\.yaml:11: grid\.task\.frechet\.b: no Inception"):
        workspace.plan("null", axis)
    axis = "grid:\n  task.frechet.classifier:\n    - gone\n"
    with pytest.raises(
        SpecError, match=r"spec\.yaml:10: grid\.task\.frechet\.classifier\.0: 'gone' is neither"
    ):
        workspace.plan("{samples: 8}", axis)


def test_a_damaged_inception_is_refused(workspace: Workspace) -> None:
    file = module.inception_file()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"half of it")
    with pytest.raises(
        SpecError, match=r"task\.frechet: .*0cc3c7bd\.pth is damaged .* get https.* again"
    ):
        workspace.plan("{}")


def test_the_beginning_of_an_id_is_refused(workspace: Workspace) -> None:
    files = workspace.put()
    with pytest.raises(SpecError, match=rf"only the beginning of kinds/{files.id}: write it whole"):
        workspace.plan("{classifier: kinds/small}")


def _interrupt(files: TrialFiles) -> None:
    files.write_status(TrialStatus(Status.INTERRUPTED))


def _lose_best(files: TrialFiles) -> None:
    files.best.unlink()


def _cut_best(files: TrialFiles) -> None:
    files.best.write_bytes(files.best.read_bytes()[:20_000])


def _no_state(files: TrialFiles) -> None:
    torch.save({"epoch": 3}, files.best)


def _other_model(files: TrialFiles) -> None:
    torch.save({"model": torch.nn.Linear(1, 1).state_dict()}, files.best)


def _cut_config(files: TrialFiles) -> None:
    files.config_path.write_text("a: [")


def _no_mapping(files: TrialFiles) -> None:
    files.config_path.write_text("- 1\n")


def _change_config(files: TrialFiles) -> None:
    text = files.config_path.read_text()
    files.config_path.write_text(text.replace("depth: 18", "depth: 34"))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_interrupt, "is interrupted, not done: run its spec first"),
        (_lose_best, r"its best\.pt is missing \(`bench clean --keep none` deletes it\): delete"),
        (_cut_best, r"best\.pt: not a readable file of weights .*: train it again with --force"),
        (_no_state, r"best\.pt: holds no state dict.*: train it again with --force"),
        (_other_model, r"best\.pt is of another model .*: train it again with --force"),
        (_cut_config, r"config\.yaml cannot be read .*: restore it, or name another trial"),
        (_no_mapping, r"config\.yaml cannot be read .*: restore it, or name another trial"),
        (_change_config, r"config\.yaml was changed: what it says makes .*: restore the folder"),
    ],
)
def test_a_spoilt_trial_is_refused_at_its_line(
    workspace: Workspace, spoil: Callable[[TrialFiles], None], message: str
) -> None:
    files = workspace.put()
    spoil(files)
    with pytest.raises(SpecError, match=rf"spec\.yaml:7: task\.frechet\.classifier: .*{message}"):
        workspace.plan(f"{{classifier: {files.folder}}}")


def test_a_trial_of_another_task_is_refused(workspace: Workspace) -> None:
    files = put(workspace.root / "results", make_trial())
    with pytest.raises(
        SpecError, match=r"7: .*made/.* was trained for segmentation, not classification"
    ):
        workspace.plan(f"{{classifier: {files.folder}}}")


BENCH_SOURCE = """\
import torch
class Conv(torch.nn.Module):
    def __init__(self, in_channels, out_channels):
        super().__init__()
        self.conv = torch.nn.Conv2d(in_channels, out_channels, 1)
    def forward(self, x):
        return self.conv(x).mean((2, 3))
"""


def test_a_network_that_gives_no_features_is_refused(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.root / "own_features.py").write_text(BENCH_SOURCE)
    with monkeypatch.context() as path:
        path.syspath_prepend(str(workspace.root))
        own = classifier(model={"target": "own_features:Conv"})
        files = put(workspace.root / "results", own)
        path.delitem(sys.modules, "own_features")
        refused = r"7: .*is built by own_features:Conv, which its config.* say --trust-code"
        with pytest.raises(SpecError, match=refused):
            workspace.plan(f"{{classifier: {files.folder}}}")
        assert "own_features" not in sys.modules
        with pytest.raises(SpecError, match=r"7: .*cannot be used: there is no linear layer"):
            workspace.plan(f"{{classifier: {files.folder}}}", trust_code=True)
    monkeypatch.delitem(sys.modules, "own_features")
    with pytest.raises(SpecError, match=r"7: .*cannot be used: target 'own_features:Conv' cannot"):
        workspace.plan(f"{{classifier: {files.folder}}}", trust_code=True)


def test_each_classifier_is_looked_at_once(workspace: Workspace) -> None:
    files, seen = workspace.put(), []
    path = workspace.root / "spec.yaml"
    path.write_text(
        f"{HEAD}task: {{name: diffusion, frechet: {{classifier: {files.folder}}}}}\n"
        "grid: {task.frechet.samples: [8, 16], train.lr: [0.1, 0.2]}\n"
    )
    store = Store(workspace.root / "results")
    plan = resolve_extractors(
        make_plan(load_spec(path)), lookup(store, workspace.root), finished(store), seen.append
    )
    assert len(seen) == 1
    assert len(set(ids(plan))) == 8
    assert {trial.settings.task.frechet.samples for trial in plan.trials} == {8, 16}
