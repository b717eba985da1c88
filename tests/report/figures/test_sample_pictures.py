from __future__ import annotations

import io

from PIL import Image

from bench.analysis.arm_summary import arm_summary
from bench.analysis.arms import arms_of
from bench.analysis.load import load
from bench.record.store import Store
from bench.report.figures import sample_pictures as samples
from tests.builders.records import MadeTrial, write_experiment, write_samples


def found(root, trials):
    records = load(Store(root), "exp")
    return samples.sample_pictures(records, arm_summary(records), arms_of(records))


def made(root, count=2):
    trials = [
        MadeTrial(s, {"model": f"m{i}"}, summary={"best_val_dice": 0.1 * s + 0.01 * i})
        for i in range(count)
        for s in (0, 1)
    ]
    write_experiment(root, "exp", trials)
    return trials


def test_best_trial_of_each_arm_gives_the_pictures(tmp_path):
    trials = made(tmp_path)
    for trial in trials:
        write_samples(tmp_path / "exp" / trial.id, count=5)
    shown, without = found(tmp_path, trials)
    assert [s.trial for s in shown] == [trials[1].id, trials[3].id]
    assert [picture.title for picture in shown[0].pictures] == ["image_0", "image_1", "image_2"]
    assert shown[0].courses == []
    assert without == 0


def test_pictures_are_made_small(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGB", (3000, 600), "red").save(path)
    with Image.open(io.BytesIO(samples.shrunk(path))) as picture:
        assert picture.size == (800, 160)


def test_an_unreadable_picture_is_reported(tmp_path):
    trials = made(tmp_path, 1)
    write_samples(tmp_path / "exp" / trials[1].id, count=1)
    (tmp_path / "exp" / trials[1].id / "samples" / "image_9.png").write_text("no picture")
    shown, _ = found(tmp_path, trials)
    assert [(picture.title, picture.jpeg is None) for picture in shown[0].pictures] == [
        ("image_0", False),
        ("image_9", True),
    ]


def test_pictures_of_epochs_are_a_course_with_the_best_at_its_end(tmp_path):
    trials = made(tmp_path, 1)
    folder = tmp_path / "exp" / trials[1].id / "samples"
    folder.mkdir()
    names = [f"epoch{e:02}_{n}" for e in (1, 5, 10, 15, 20) for n in ("ddim", "ddpm")]
    for name in [*names, "ddim", "ddpm", "other", "epochs_of_old"]:
        Image.new("RGB", (8, 8)).save(folder / f"{name}.png")
    shown, _ = found(tmp_path, trials)
    assert [[picture.title for picture in course] for course in shown[0].courses] == [
        [f"{name}, epoch 1", f"{name}, epoch 10", f"{name}, epoch 20", f"{name}, best epoch"]
        for name in ("DDIM", "DDPM")
    ]
    assert [picture.title for picture in shown[0].pictures] == ["epochs_of_old", "other"]


def test_the_best_of_very_many_arms(tmp_path, monkeypatch):
    monkeypatch.setattr(samples, "MOST_ARMS", 2)
    trials = made(tmp_path, 3)
    for trial in trials:
        write_samples(tmp_path / "exp" / trial.id, count=1)
    shown, without = found(tmp_path, trials)
    assert [s.arm.label for s in shown] == ["m1", "m2"]
    assert without == 1
