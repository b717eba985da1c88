"""The report of tasks other than segmentation."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.figures import ExperimentData, by_arm, curves, fronts
from bench.report.format.display_names import display_name, task_words, title
from bench.report.narrative.headline import baseline_check, headline, mixed_conditions
from bench.report.page import write_report
from bench.report.tables.arms_and_trials import arm_table, meaning, trial_table
from bench.tasks.settings import TASKS
from tests.builders.records import MadeTrial, study, write_experiment
from tests.builders.records_of_tasks import (
    CLASSIFICATION,
    DIFFUSION,
    EXTRACTOR,
    classification,
    diffusion,
    write_classification_pictures,
    write_diffusion_pictures,
)


def parts(root, trials, plan):
    write_experiment(root, "exp", trials, **plan)
    records = load(Store(root), "exp")
    return records, arm_summary(records), arms_of(records)


def test_the_best_classifier_is_the_highest(tmp_path):
    found = parts(tmp_path, classification(), CLASSIFICATION)
    first = headline(*found)
    assert first.title.startswith("residual has the highest test top-1 accuracy: 0.7")
    check = baseline_check(*found)
    assert check is not None
    assert check.text == (
        "Always predicting the most frequent class gives a test top-1 accuracy of 0.333; "
        "2 of 2 arms clearly better."
    )
    assert check.warnings == []


def test_the_best_diffusion_model_is_the_lowest(tmp_path):
    found = parts(tmp_path, diffusion(), DIFFUSION)
    first = headline(*found)
    assert first.title.startswith("unfrozen has the lowest test loss: 0.0")
    assert "the lowest there too" in " ".join(first.sentences)
    check = baseline_check(*found)
    assert check is not None
    assert check.text.startswith("Predicting zero noise gives a test loss of 1.0")
    assert check.warnings == []


def test_a_loss_above_the_baseline_is_reported(tmp_path):
    check = baseline_check(*parts(tmp_path, diffusion({"bad": 1.2}), DIFFUSION))
    assert check is not None
    assert "bad is not better than the trivial prediction" in check.warnings[0]


def test_what_only_one_task_has_is_in_the_table_of_runs(tmp_path):
    records, _, _ = parts(tmp_path, diffusion(), DIFFUSION)
    columns = list(records.runs.columns)
    assert records.closing == ("frechet", "frechet_extractor")
    at = columns.index("frechet")
    assert columns[at - 1 : at + 3] == [
        "baseline_val_loss", "frechet", "frechet_extractor", "device",
    ]  # fmt: skip
    assert records.runs["frechet"].tolist() == pytest.approx([108, 109, 110, 63, 64, 65])
    assert set(records.runs["frechet_extractor"]) == {EXTRACTOR}


def test_missing_facts_stay_missing(tmp_path):
    trials = diffusion(seeds=2)
    del trials[0].summary["frechet"], trials[0].summary["frechet_extractor"]
    trials[1].summary["frechet"] = float("nan")
    runs = parts(tmp_path, trials, DIFFUSION)[0].runs
    assert runs["frechet"].isna().tolist() == [True, True, False, False]
    assert pd.isna(runs["frechet_extractor"].iloc[0])


def test_rates_that_runs_leave_out_are_no_task_s_own(tmp_path):
    trials = classification(seeds=1)
    trials[0].summary |= {"images_per_second": 12.0, "best_val_gone": 0.5, "test_gone": 0.5}
    records, _, _ = parts(tmp_path, trials, CLASSIFICATION)
    assert records.closing == ()


def test_tables_show_the_tasks_metrics_and_what_is_frozen(tmp_path):
    records, summary, _ = parts(tmp_path, diffusion(), DIFFUSION)
    titles = [column.title for column in arm_table(records, summary).columns]
    assert titles == [
        "Arm", "Seeds", "Test loss", "Best val loss", "Fréchet distance",
        "Params", "Trainable", "MACs", "Epoch", "Memory",
    ]  # fmt: skip
    frozen = next(c for c in arm_table(records, summary).columns if c.title == "Trainable")
    assert [cell.text for cell in frozen.cells] == ["4.47 M", "13.4 M"]
    assert frozen.cells[0].note == "4,465,131"
    trials = {column.title: column for column in trial_table(records).columns}
    assert trials[title("frechet_extractor")].cells[0].text == EXTRACTOR
    records, summary, _ = parts(tmp_path / "other", classification(), CLASSIFICATION)
    titles = [column.title for column in arm_table(records, summary).columns]
    assert "Best val top-1 accuracy" in titles
    assert "Trainable" not in titles


def test_several_extractors_are_flagged(tmp_path):
    trials = diffusion(seeds=2)
    trials[0].summary["frechet_extractor"] = "inception_v3"
    records, _, _ = parts(tmp_path, trials, DIFFUSION)
    (sentence,) = mixed_conditions(records)
    assert sentence.endswith("what depends on it cannot be compared.")
    assert "inception_v3 (1 trial)" in sentence


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("best_val_top1", "best val top-1 accuracy"),
        ("test_frechet", "test Fréchet distance"),
        ("val/loss_t1", "val loss (least noisy quarter of steps)"),
        ("loss_t4", "loss (noisiest quarter of steps)"),
        ("dice_t1", "Dice t1"),
    ],
)
def test_names_for_people(name, words):
    assert display_name(name) == words


def test_every_task_has_its_words_and_its_metrics_meanings():
    for task in TASKS.names():
        assert task_words(task).hint
        assert task_words(task) != task_words("a user's own")
    assert task_words("a user's own").trivial == "The baseline"
    assert meaning("test_top1").startswith("top-1 accuracy on the test split")
    assert "lower is better" in meaning("frechet")


def test_curves_of_very_many_metrics_are_paged_the_main_ones_first(tmp_path, monkeypatch):
    names = [f"dice_class{i}" for i in range(12)]
    history = [
        {"epoch": e, "train/loss": 1.0, "val/loss": 1.0, **{f"val/{n}": 0.1 * e for n in names}}
        for e in (1, 2)
    ]
    plan = {"metrics": {"loss": "min"} | dict.fromkeys(names, "max"),
            "select": {"metric": "val/dice_class9", "mode": "max"}}  # fmt: skip
    records, *_ = parts(tmp_path, [MadeTrial(0, history=history)], plan)
    drawn = []
    monkeypatch.setattr(curves, "draw_curves", lambda *given: drawn.append(given[3]))
    drawing = curves.learning_curves(ExperimentData.of(records))
    assert drawn[:4] == ["train/loss", "val/loss", "val/dice_class9", "val/dice_class0"]
    assert len(drawn) == 14
    assert len(drawing.pages) == 2


def test_selected_loss_falls_towards_cheap(tmp_path):
    records, *_ = parts(tmp_path, diffusion(seeds=1), DIFFUSION)
    cost = fronts.fronts(ExperimentData.of(records))
    assert cost is not None
    assert cost.title == "Loss against cost"
    assert cost.caption.startswith("Down is better and left is cheaper.")


def noised(levels=("linear", "cosine"), models=("a",), seeds=3):
    """Finished diffusion trials of models under noise schedules; the first model is the best."""
    return [
        MadeTrial(seed, {"model": model, "task.noise": level},
                  summary={"best_val_loss": loss + 0.001 * seed, "test_loss": loss})
        for level, base in zip(levels, (0.05, 0.08), strict=False)
        for loss, model in ((base + 0.01 * loss_index, m) for loss_index, m in enumerate(models))
        for seed in range(seeds)
    ]  # fmt: skip


NOISED = DIFFUSION | {"incomparable": {"loss": ["task.noise"], "loss_t1": ["task.noise"]}}
CANNOT = "Test loss cannot rank the levels of task.noise."


def test_a_loss_under_other_noise_names_no_best_arm(tmp_path):
    records, summary, arms = parts(tmp_path, noised(), NOISED)
    first = headline(records, summary, arms)
    assert first.title == CANNOT
    assert first.sentences[1].startswith("linear reaches 0.050")
    assert first.sentences[2].startswith("cosine reaches 0.080")
    drawing = by_arm.scores(ExperimentData.of(records))
    assert drawing is not None
    assert "Losses on different levels of task.noise cannot be compared." in drawing.caption


def test_arms_under_the_same_noise_are_compared(tmp_path):
    found = headline(*parts(tmp_path, noised(models=("a", "b")), NOISED))
    assert found.title == CANNOT
    text = " ".join(found.sentences)
    assert "With task.noise linear, a · linear has the lowest: 0.050" in text
    assert "With task.noise cosine, a · cosine has the lowest: 0.080" in text
    assert text.count("in all 3 pairs") == 2  # the made figures differ by the same in every seed
    # each arm against those of its own noise
    assert text.count("the lowest there too") == 2


def test_one_noise_alone_is_a_matter_of_models(tmp_path):
    trials = noised(levels=("linear",), models=("a", "b"))
    records, summary, arms = parts(tmp_path, trials, NOISED)
    assert records.incomparable == {}
    assert headline(records, summary, arms).title.startswith("a has the lowest test loss")


def test_the_page_says_what_the_loss_cannot_tell(tmp_path):
    write_experiment(tmp_path / "results", "exp", noised(), **NOISED)
    page = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    said = "is not comparable across the levels of task.noise"
    assert said in page.read_text()
    assert said in page.with_name("report.md").read_text()


@pytest.mark.parametrize(
    ("trials", "plan", "draw", "pictures", "said"),
    [
        (classification, CLASSIFICATION, write_classification_pictures, 4, "Confusion matrix of"),
        (diffusion, DIFFUSION, write_diffusion_pictures, 16, "Generated images"),
        (lambda **_: study(seeds=1, epochs=2), {}, lambda folder: None, 0, "all foreground"),
    ],
)
def test_the_page_of_each_task(tmp_path: Path, trials, plan, draw, pictures, said):
    made = trials(seeds=1)
    write_experiment(tmp_path / "results", "exp", made, **plan)
    for trial in made:
        draw(tmp_path / "results" / "exp" / trial.id)
    page = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == pictures
    assert said in text
    if plan is DIFFUSION:
        assert f"{title('frechet_extractor')}: {EXTRACTOR}." in text
        assert "DDIM, epoch 1<" in text
        assert "DDPM, best epoch" in text
        assert EXTRACTOR.replace("_", "\\_") in page.with_name("report.md").read_text()
