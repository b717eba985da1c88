from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from bench.errors import StoreError
from bench.record.store import Store
from bench.report.page import write_report
from tests.builders.records import MadeTrial, study, write_experiment, write_samples, write_trial

CLAIM = {
    "id": "elastic_helps", "claim": "Elastic deformation <i>helps</i>", "expect": "higher",
    "metric": "best_val_dice", "a": {"augment": "elastic"}, "b": {"augment": "none"},
}  # fmt: skip
HOSTILE = '<script>alert("x")</script>|`*_'


class Page(HTMLParser):
    """Collects a page's tags, links and texts."""

    def __init__(self, text):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script":
            self.scripts.append(data)

    def attributes(self, *names):
        return [v for _, attrs in self.tags for k, v in attrs.items() if k in names]

    def count(self, tag, **attrs):
        return sum(t == tag and attrs.items() <= a.items() for t, a in self.tags)


def report(root, trials, **changes):
    write_experiment(root / "results", "exp", trials, **changes)
    path = write_report(Store(root / "results"), ["exp"], root / "reports")
    return path, Page(path.read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Six arms, a failed trial, a left-out one, pictures."""
    root = tmp_path_factory.mktemp("whole")
    trials = study(seeds=2, epochs=5, failed=(3,))
    write_trial(root / "results", "exp", MadeTrial(9, dict(trials[0].axes), common="0ldc0de0"))
    write_experiment(root / "results", "exp", trials, hypotheses=[CLAIM])
    for trial in trials:
        write_samples(root / "results" / "exp" / trial.id, count=1)
    path = write_report(Store(root / "results"), ["exp"], root / "reports")
    return path, trials


def test_all_files_are_there(whole):
    folder = whole[0].parent
    assert whole[0] == folder.parent / "exp" / "report.html"
    files = {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}
    assert files >= {"report.html", "report.md", "runs.csv", "history.csv", "verdicts.json"}
    for name in ("hypotheses", "scores", "learning_curves", "pareto", "predictions"):
        assert {f"figures/{name}.png", f"figures/{name}.svg"} <= files
    tables = ("arms", "learning", "verdicts", "differences", "interactions", "effects", "failures")
    assert {name for name in files if name.startswith("tables/")} == {
        f"tables/{name}.{ending}" for name in tables for ending in ("csv", "md", "tex")
    }


def test_the_page_asks_for_nothing_outside(whole):
    text = whole[0].read_text()
    page = Page(text)
    for link in page.attributes("src", "href", "srcset", "action", "data"):
        assert link.startswith(("#", "data:")), link[:60]
    assert "http" not in text.split("<main>")[0].replace("http-equiv", "")
    assert not re.search(r"@import|url\(", text)
    assert page.count("img", **{"class": "plot"}) == 12


def test_links_within_the_page_lead_somewhere(whole):
    page = Page(whole[0].read_text())
    ids = page.attributes("id")
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in page.attributes("href") if link.startswith("#")} <= set(ids)


def test_every_trial_can_be_found(whole):
    path, trials = whole
    for text in (path.read_text(), path.with_name("report.md").read_text()):
        assert all(trial.id in text for trial in trials)


def test_failed_and_left_out_trials_are_named(whole):
    for name in ("report.html", "report.md"):
        text = whole[0].with_name(name).read_text()
        assert "train/loss was not finite" in text
        assert "diverged" in text
        assert "other settings than the latest plan" in text
        assert "1 failed" in text


def test_pictures_of_one_trial_per_arm(whole):
    assert whole[0].read_text().count("data:image/jpeg;base64,") == 6


def test_markdown_figures_exist(whole):
    markdown = whole[0].with_name("report.md")
    figures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", markdown.read_text())
    assert len(figures) == 12
    assert all((markdown.parent / figure).is_file() for figure in figures)


def test_markdown_tables_are_whole(whole):
    text = whole[0].with_name("report.md").read_text()
    tables = re.findall(r"(?:^\|.*\n)+", text, re.M)
    assert len(tables) > 5
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_verdicts_come_first(whole):
    for name in ("report.html", "report.md"):
        text = whole[0].with_name(name).read_text().replace("\\", "")
        verdict, headline = text.index("inconclusive"), text.index("has the highest test")
        assert verdict < headline
        assert "1 hypothesis: 1 inconclusive." in text
        assert "3 complete seeds are the least that can settle it" in text
        assert "<i>helps</i>" not in text
        assert text.count("unet-elastic-s0-") >= 2  # behind the verdict, and among the trials


def test_without_hypotheses_the_page_says_that_nothing_was_tested(tmp_path):
    path, page = report(tmp_path, study(models=("unet",), augments=("none",), seeds=1, epochs=2))
    assert "No hypothesis was declared" in path.read_text()
    assert "verdicts" not in page.attributes("id")


def test_the_whole_manifest_is_there(whole):
    text = whole[0].read_text()
    for name in ("data_fingerprint", "git_commit", "packages", "precision", "compiled"):
        assert f'<th scope="row">{name}</th>' in text
    assert "torch 2.15.0, torchvision 0.30.0" in text
    record = json.loads((whole[0].parent / "manifest.json").read_text())
    assert record["facts"]["packages.torch"][0]["value"] == "2.15.0"


def test_hostile_labels_and_messages_stay_text(tmp_path):
    trials = [
        MadeTrial(0, {"model": HOSTILE}, summary={"best_val_dice": 0.5}),
        MadeTrial(1, {"model": HOSTILE}, status="failed", failure="crash", message=HOSTILE),
        MadeTrial(0, {"model": "b"}, environment={HOSTILE: HOSTILE}),
    ]
    path, page = report(tmp_path, trials, spec=f"# ``` {HOSTILE}\n")
    assert page.count("script") == 1
    assert not any("alert" in script for script in page.scripts)
    markdown = path.with_name("report.md").read_text()
    outside = re.sub(r"````yaml.*?````", "", markdown, flags=re.S)
    assert "<script>" not in outside
    assert "````yaml" in markdown


def test_labels_of_foreign_records_are_escaped_and_formulas_are_reported(tmp_path):
    trials = [
        MadeTrial(0, {"model": "a\u202eb\x1b"}, summary={"best_val_dice": 0.5}),
        MadeTrial(0, {"model": "=1+1"}, status="failed", failure="crash", message="a\x1bb\nc"),
    ]
    path, _ = report(tmp_path, trials)
    for name in ("report.html", "report.md", "tables/arms.md", "tables/failures.md"):
        text = path.with_name(name).read_text() if "/" not in name else (
            path.parent / name).read_text()  # fmt: skip
        assert not set(text) & set("\u202e\x1b"), name
    assert "a⟨U+202E⟩b⟨U+001B⟩" in path.read_text()
    assert "&#39;=1+1&#39; in the CSV files would be run as formulas" in path.read_text()
    runs = (path.parent / "runs.csv").read_text()
    assert "=1+1" in runs  # as it is, for programs
    assert "a\N{REPLACEMENT CHARACTER}b c" in runs
    plain, _ = report(tmp_path / "plain", [MadeTrial(0, {"model": "-1"})])
    assert "as formulas" not in plain.read_text()


def test_nothing_finished_is_still_a_report(tmp_path):
    path, page = report(tmp_path, [MadeTrial(0, {"model": "a"}, status="planned")])
    assert "No trial is finished yet." in path.read_text()
    assert page.count("img") == 0


def test_a_finished_trial_that_cannot_be_read_is_reported(tmp_path):
    trial = MadeTrial(0, {"model": "a"}, summary={"best_val_dice": 0.5})
    write_trial(tmp_path / "results", "exp", trial).joinpath("summary.json").write_text("{")
    write_trial(tmp_path / "results", "exp", MadeTrial(1, {"model": "a"}))
    path = write_report(Store(tmp_path / "results"), ["exp"], tmp_path / "reports")
    for name in ("report.html", "report.md"):
        text = path.with_name(name).read_text().replace("\\", "")
        assert "summary.json: cannot be read" in text


@pytest.mark.parametrize("axes", [{}, {"model": "unet"}])
def test_one_arm_one_seed(tmp_path, axes):
    trials = study(models=("unet",), augments=("none",), seeds=1, epochs=3)
    trials[0].axes = dict(axes)
    path, page = report(tmp_path, trials)
    assert "no second arm" in path.read_text()
    pictures = [p.stem for p in (path.parent / "figures").glob("*.svg")]
    assert sorted(pictures) == [
        "budgets", "convergence", "learning_curves", "overfitting", "pareto", "scores",
        "throughput",
    ]  # fmt: skip
    assert page.count("img", **{"class": "plot"}) == len(pictures)


def test_histories_logged_elsewhere(tmp_path):
    history = [
        {"epoch": e, "train/loss": 0.5, "val/loss": 0.6, "val/dice": 0.1 * e} for e in (1, 2)
    ]
    for name in ("unet", "resnet"):
        trial = MadeTrial(None, {"model": name}, source="A & B, 2024", common=None, arm=name,
                          history=history, summary={"best_val_dice": 0.2})  # fmt: skip
        write_trial(tmp_path / "results", "logged", trial)
    path = write_report(Store(tmp_path / "results"), ["logged"], tmp_path / "reports")
    text = path.read_text()
    assert "Logged elsewhere: A &amp; B, 2024." in text
    assert "No spec is recorded: these trials were not trained by bench" in text
    assert "<td>A &amp; B, 2024</td><td>log.csv</td>" in text
    pictures = {p.stem for p in (path.parent / "figures").glob("*.svg")}
    assert {"scores", "learning_curves", "overfitting", "convergence"} <= pictures
    assert not {"pareto", "throughput"} & pictures  # a log tells no cost


def test_several_experiments_each_get_a_folder(tmp_path):
    for name in ("one", "two"):
        write_experiment(tmp_path / "results", name, [MadeTrial(0)])
    path = write_report(Store(tmp_path / "results"), ["one", "two"], tmp_path / "reports")
    assert path == tmp_path / "reports" / "two" / "report.html"
    assert (tmp_path / "reports" / "one" / "report.html").is_file()


def test_unknown_or_no_experiment_is_an_error(tmp_path):
    for names in ([], ["nothing"]):
        with pytest.raises(StoreError):
            write_report(Store(tmp_path), names, tmp_path / "reports")
    assert not (tmp_path / "reports").exists()


def test_latex_and_csv_of_the_arms(whole):
    tables = whole[0].parent / "tables"
    tex = (tables / "arms.tex").read_text()
    assert tex.startswith(r"\begin{tabular}{ll")
    assert r"resnet34\_unet" in tex
    assert len((tables / "arms.csv").read_text().splitlines()) == 7


def test_report_imports_neither_torch_nor_mlflow():
    code = (
        "import sys, bench.report.page;"
        "print([m for m in ('torch', 'mlflow', 'statsmodels.api') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
