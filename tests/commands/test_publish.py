"""`bench publish`: the same report from the published records, and no trace of the machine."""

from __future__ import annotations

import json
import shutil
import socket
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.analysis.load import load
from bench.cli.app import app
from bench.commands.publish import publish, published_lines
from bench.errors import BenchError, StoreError
from bench.record.columns import ENVIRONMENT_DIGEST, Failure, Status
from bench.record.confirm import environment_digest, summary_digest
from bench.record.files import write_json
from bench.record.image_scores import read_images, read_scores
from bench.record.store import Store, TrialFiles, TrialStatus
from bench.report.page import write_report
from bench.report.search.search_record import read_search_record
from tests.builders import search_records
from tests.builders.experiments import SPEC, build
from tests.builders.image_scores import build_scored, scores_of

HOST, USER_FOLDER = "secret-host", "/home/secret-user"


def with_traces(store: Store) -> None:
    """Records as they are on a machine of somebody's, with all that `run` leaves."""
    for files in store.trials("built"):
        environment = {"hostname": HOST, "cpu": "EPYC", "where": f"{USER_FOLDER}/x"}
        write_json(files.environment_path, environment)
        summary = files.summary() | {"health_note": f"see {USER_FOLDER}/log.txt"}
        summary[ENVIRONMENT_DIGEST] = environment_digest(files.id, environment)
        write_json(
            files.summary_path, summary | {"summary_digest": summary_digest(files.id, summary)}
        )
        status = TrialStatus(
            Status.DONE, message=f"slow on {HOST}: {USER_FOLDER}/my pets", pid=12, host=HOST
        )
        files.write_status(status)
        (files.folder / "samples").mkdir()
        for name in ("best.pt", "finished.pt", "log.txt", "mlflow.json", "samples/a.png"):
            (files.folder / name).write_text(f"{HOST} {USER_FOLDER}")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    rng = np.random.default_rng(0)
    found, _ = build_scored(
        tmp_path, SPEC, lambda trial: scores_of(0.5 + 0.1 * rng.random(6), epochs=np.ones((4, 6)))
    )
    with_traces(found)
    return found


def texts(folder: Path) -> dict[Path, str]:
    return {
        path.relative_to(folder): path.read_text("utf-8", "replace")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_nothing_tells_of_the_machine(store: Store, tmp_path: Path) -> None:
    (found,) = publish(store, ["built"], tmp_path / "out")
    assert (found.trials, found.left_out, found.paths) == (12, {}, {})
    files = texts(tmp_path / "out")
    for path, text in files.items():
        for trace in (HOST, "secret-user", str(tmp_path), socket.gethostname() + '"'):
            assert trace not in text, path
    names = {path.name for path in files}
    assert names.isdisjoint({"best.pt", "finished.pt", "log.txt", "mlflow.json", "a.png"})
    assert found.size == sum(
        path.stat().st_size for path in found.folder.rglob("*.*") if path.is_file()
    )


def test_the_report_is_the_same(store: Store, tmp_path: Path) -> None:
    publish(store, [], tmp_path / "out")
    before = load(store, "built")
    after = load(Store(tmp_path / "out"), "built")
    unlike = ["message", "health_note"]
    assert after.runs.drop(columns=unlike, errors="ignore").equals(
        before.runs.drop(columns=unlike, errors="ignore")
    )
    assert after.history.equals(before.history)
    assert after.left_out == ()
    write_report(store, ["built"], tmp_path / "a")
    write_report(Store(tmp_path / "out"), ["built"], tmp_path / "b")
    for name in ("verdicts.json", "image_scores.csv", "history.csv"):
        assert (tmp_path / "a/built" / name).read_bytes() == (
            tmp_path / "b/built" / name
        ).read_bytes()
    assert "complete_seeds" in (tmp_path / "b/built/verdicts.json").read_text()


def test_scores_of_single_images_come_along(store: Store, tmp_path: Path) -> None:
    publish(store, [], tmp_path / "out")
    for files in Store(tmp_path / "out").trials("built"):
        summary = files.summary()
        scores = read_scores(files, summary)
        assert scores is not None
        assert read_images(files, summary["images_hash"])


def test_publishing_again_replaces_what_was_published(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    publish(store, [], out)
    gone = store.trials("built")[0]
    shutil.rmtree(gone.folder)
    (found,) = publish(store, [], out)
    assert found.trials == 11
    assert gone.id not in {files.id for files in Store(out).trials("built")}
    assert [path.name for path in out.iterdir()] == ["built"]


@pytest.mark.parametrize("name", ["best.pt", "notes.txt", "trial/best.pt", "trial/deep/er/x.json"])
def test_it_replaces_nothing_else(store: Store, tmp_path: Path, name: str) -> None:
    mine = tmp_path / "out/built" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(BenchError, match="choose another --out folder"):
        publish(store, [], tmp_path / "out")
    assert mine.read_text() == "mine"


def test_it_is_never_written_over_the_records(store: Store) -> None:
    with pytest.raises(BenchError, match="the folder of the records themselves"):
        publish(store, [], store.root)
    assert len(load(store, "built").done) == 12


def test_what_is_not_finished_or_damaged_is_left_out_with_the_reason(
    store: Store, tmp_path: Path
) -> None:
    running, edited, failed, *_ = store.trials("built")
    without_test(running, TrialStatus(Status.RUNNING))
    edited.history_path.write_text(edited.history_path.read_text().replace("0.5", "0.6", 1))
    without_test(failed, TrialStatus(Status.FAILED, Failure.CRASH, f"{USER_FOLDER}/x: broken"))
    (found,) = publish(store, [], tmp_path / "out")
    assert found.trials == 10
    assert found.left_out[running.id] == "is running, not finished"
    assert "history.csv" in found.left_out[edited.id]
    copied = Store(tmp_path / "out").trial("built", failed.id)
    assert copied.status().message == "x: broken"
    lines = list(published_lines([found]))
    assert f"built: left out: {running.id}: is running, not finished" in lines
    assert lines[-1].startswith("built: 10 trials, ")


def without_test(files: TrialFiles, status: TrialStatus) -> None:
    """Another status, and a summary such as it has."""
    summary = {k: v for k, v in files.summary().items() if not k.startswith("test_")}
    write_json(files.summary_path, summary | {"summary_digest": summary_digest(files.id, summary)})
    files.write_status(status)


def test_a_path_that_makes_the_trial_what_it_is_stays_and_is_named(tmp_path: Path) -> None:
    model = f"{{target: 'somewhere:Model', table: {USER_FOLDER}/table.csv}}"
    text = SPEC.replace("{name: unet, width: 0.05}", model)
    store, _ = build(tmp_path, text)
    (found,) = publish(store, [], tmp_path / "out")
    assert found.paths == {"settings.model.table": 6}
    line = next(iter(published_lines([found])))
    assert line.startswith("Warning: built: settings.model.table has an absolute path in 6 of 12")
    assert load(Store(tmp_path / "out"), "built").left_out == ()


def test_a_folder_of_data_and_a_checkpoint_lose_their_place(tmp_path: Path) -> None:
    text = SPEC.replace("name: shapes, image_size: 32, train: 12, val: 4, test: 4",
                        f"name: oxford_pet, root: {USER_FOLDER}/pets, download: false")  # fmt: skip
    store, _ = build(tmp_path, text)
    (found,) = publish(store, [], tmp_path / "out")
    assert found.paths == {}
    published = Store(tmp_path / "out")
    config = published.trials("built")[0].config()
    assert config["settings"]["data"]["root"] == "pets"
    plan = json.loads(published.plan_path("built").read_text())
    assert "root: pets" in plan["spec"]
    assert plan["source"] == "spec.yaml"
    assert load(published, "built").cautions == load(store, "built").cautions


def test_a_search_comes_along_without_its_hosts(store: Store, tmp_path: Path) -> None:
    traced = {"host": HOST, "message": f"{USER_FOLDER}/x: broken"}
    found = [point | traced for point in search_records.POINTS]
    storage = f"postgresql://secret-user:***@{HOST}/db"
    folder = store.experiment("built")
    search_records.write(folder, search_records.record(trials=found, storage=storage))
    publish(store, [], tmp_path / "out")
    published = read_search_record(tmp_path / "out/built")
    assert published is not None
    assert len(published.points) == len(found)
    text = (tmp_path / "out/built/search.json").read_text()
    assert HOST not in text
    assert "secret-user" not in text
    assert json.loads(text)["storage"] == "postgresql"


def test_a_link_is_not_followed(store: Store, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("epoch\n1\n")
    files = store.trials("built")[0]
    target = next(files.scores.glob("*.npy"))
    target.unlink()
    target.symlink_to(secret)
    with pytest.raises(StoreError, match=r"\.npy"):
        publish(store, [], tmp_path / "out")
    assert not (tmp_path / "out/built").exists()


def test_the_command(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["publish", "built", "--out", str(out), "--results", str(store.root)]
    )
    assert done.exit_code == 0
    assert done.output.startswith("built: 12 trials, ")
    assert CliRunner().invoke(app, ["publish", "another", "--results", str(store.root)]).exception
