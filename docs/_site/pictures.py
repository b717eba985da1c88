"""Pictures of pages: `PYTHONPATH=. python docs/_site/pictures.py RECORDS SEARCH`, in a clone.

Needs Chromium and `pip install optuna-dashboard`. RECORDS is a results folder with the example
studies (a copy of results/examples), whose runs are pushed to MLflow; SEARCH one with a finished
search of experiments/search_unet.yaml.
"""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from bench.record.mlflow import Mirror
from bench.record.store import Store
from bench.record.ui import ui_command, ui_environment
from tests.report.browser import Browser, chromium

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs" / "figures"
READ = (
    "scores", "differences", "model_by_augment", "learning_curves", "pareto", "overfitting",
    "equal_budgets", "worst_images", "image_differences",
)  # fmt: skip
"""The figures that reading-a-report.md walks through."""
PORT = 5987
PATIENCE = 180.0


def main(records: Path, search: Path) -> None:
    """Make all of them."""
    program = chromium()
    if program is None:
        raise SystemExit("no Chromium: apt-get install chromium")
    browser = Browser(program)
    report_figures()
    top_of_a_report(browser)
    mlflow_pages(browser, records)
    dashboard(browser, search)
    browser.close()


def report_figures() -> None:
    """Those of the first example study."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "bench", "report", "example_models"]
        where = ["--results", "results/examples", "--out", folder]
        subprocess.run([*command, *where], cwd=ROOT, check=True)  # noqa: S603 - our own command
        for name in READ:
            _save(Path(folder) / "example_models/figures" / f"{name}.png", f"reading/{name}.png")


def top_of_a_report(browser: Browser) -> None:
    """README's picture: the head of a page, its first card, and its claims as a figure."""
    page = ROOT / "reports/examples/example_encoders/report.html"
    browser.open(page, "light", 1060)
    browser.run("document.querySelector('nav').style.display = 'none'")
    bottom = browser.run("document.querySelectorAll('#verdicts .card, #verdicts > article')[0]"
                         ".getBoundingClientRect().bottom + scrollY")  # fmt: skip
    place = browser.run("(() => { const box = document.querySelector('#hypotheses')"
                        ".getBoundingClientRect(); return [box.top + scrollY, box.height] })()")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "page.png"
        browser.shoot(whole)
        image = Image.open(whole).convert("RGB")
        head = image.crop((0, 0, 1060, int(bottom) + 16))
        figure = image.crop((0, int(place[0]), 1060, int(place[0] + place[1])))
        both = Image.new("RGB", (1060, head.height + figure.height), "white")
        both.paste(head, (0, 0))
        both.paste(figure, (0, head.height))
        both.save(whole)
        _save(whole, "../report.png")


def mlflow_pages(browser: Browser, records: Path) -> None:
    """The list of runs, and the charts of one."""
    store = Store(records)
    Mirror(store, store.mlflow_uri).sync()
    with _served(ui_command(store, PORT), ui_environment()) as address:
        from mlflow import MlflowClient

        client = MlflowClient(store.mlflow_uri)
        experiment = client.get_experiment_by_name("example_models")
        assert experiment is not None
        (run,) = client.search_runs(
            [experiment.experiment_id], "tags.`bench.kind` = 'trial'", max_results=1
        )
        page = f"{address}/#/experiments/{experiment.experiment_id}/runs"
        _shoot(browser, page, "mlflow-runs.png", (1440, 900), MODEL_TRAINING, unfold=True)
        charts = f"{page}/{run.info.run_id}/model-metrics"
        _shoot(browser, charts, "mlflow-charts.png", (1440, 1750), drawn=6)


def dashboard(browser: Browser, search: Path) -> None:
    """Optuna's page on a study."""
    command = [str(Path(sys.executable).with_name("optuna-dashboard"))]
    command += [f"sqlite:///{search.resolve() / 'optuna.db'}", "--port", str(PORT + 1)]
    with _served(command, None, PORT + 1) as address:
        _shoot(browser, f"{address}/dashboard/studies/1", "optuna-dashboard.png", (1440, 1100))


@contextlib.contextmanager
def _served(
    command: Sequence[str], environment: dict[str, str] | None, port: int = PORT
) -> Iterator[str]:
    """A server while the pictures are taken."""
    quiet: Any = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, env=environment, **quiet)  # noqa: S603 - our own command
    address = f"http://127.0.0.1:{port}"
    end = time.monotonic() + PATIENCE
    try:
        while True:
            try:
                urllib.request.urlopen(address, timeout=5)
                break
            except OSError:
                if time.monotonic() > end or process.poll() is not None:
                    raise
                time.sleep(0.5)
        yield address
    finally:
        process.terminate()
        process.wait()


MODEL_TRAINING = """
[...document.querySelectorAll('div')].find((d) => d.textContent === 'Model training')?.click();
document.querySelector('[data-component-id="mlflow.assistant.chat_panel.close"]')?.click();
"""
"""Not the pages of language models, no assistant."""
PLOTS = "document.querySelectorAll('.main-svg').length"
UNFOLD = """(() => {
  const run = [...document.querySelectorAll('a')].find((a) => /\\/runs\\/[0-9a-f]{32}/.test(a.href));
  const box = run.getBoundingClientRect(); return [box.x - 32, box.y + box.height / 2];
})()"""
"""Where the sign is that unfolds the first run: left of its name."""


def _shoot(
    browser: Browser,
    address: str,
    name: str,
    size: tuple[int, int],
    script: str = "0",
    *,
    unfold: bool = False,
    drawn: int = 0,
) -> None:
    """A picture of an application's page, once it has drawn itself and `script` has run in it."""
    width, height = size
    browser.send("Emulation.setDeviceMetricsOverride", width=width, height=height,
                 deviceScaleFactor=1, mobile=False)  # fmt: skip
    browser.send("Page.navigate", url=address)
    time.sleep(SETTLING)
    browser.run(script)
    time.sleep(SETTLING)
    if unfold:
        x, y = browser.run(UNFOLD)
        for kind in ("mousePressed", "mouseReleased"):
            browser.send(
                "Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1
            )
        time.sleep(SETTLING)
    end = time.monotonic() + PATIENCE
    while browser.run(PLOTS) < drawn and time.monotonic() < end:
        time.sleep(1)
    shot = browser.send("Page.captureScreenshot")  # of the viewport: a larger one draws all anew
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(base64.b64decode(shot["data"]))
        _save(path, name)


SETTLING = 40.0  # seconds; such pages load their parts one after the other


def _save(path: Path, name: str) -> None:
    """Into the documentation, in few colours: a quarter of the bytes."""
    target = (FIGURES / name).resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    few = Image.open(path).convert("RGB").quantize(96, dither=Image.Dither.NONE)
    few.save(target, optimize=True)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
