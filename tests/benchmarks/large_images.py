"""Whether 6,000×4,000 images train by crops and are predicted by tiles within 2 GB of memory.

`PYTHONPATH=. python tests/benchmarks/large_images.py` makes six JPEGs and masks of that size, then
runs `bench plan --memory`, `bench run` (decoding, training by `crop: 512`, validation and test of
whole images) and `bench predict --probabilities`, and prints the largest peak of resident memory
(VmHWM) among each command's processes. `--size 3000 2000` is faster; `--evaluate-at original`
scores at the images' own size. The exit code is 1 where a process took more than 2 GB.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import chdir, suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

LIMIT_MB = 2000.0
SPEC = """\
experiment: large
task: segmentation
data:
  name: folder
  root: {root}
  image_size: [{height}, {width}]
  crop: 512
  evaluate_at: {evaluate_at}
  splits: {{train: train.txt, val: val.txt, test: test.txt}}
train: {{epochs: 1, batch_size: 4, lr: 1e-3}}
machine: {{device: cpu, threads: 1}}
grid: {{model: {{narrow: {{name: unet, width: 0.05}}}}}}
seeds: 1
"""


def make_images(root: Path, width: int, height: int) -> None:
    """Six images: a disc on a noisy ground."""
    draws = np.random.default_rng(0)
    rows, columns = np.ogrid[:height, :width]
    for folder in ("images", "masks"):
        (root / folder).mkdir(parents=True)
    for i in range(6):
        y, x = draws.uniform(0.3, 0.7, 2)
        inside = (rows - y * height) ** 2 + (columns - x * width) ** 2 < (height / 4) ** 2
        ground = draws.integers(0, 120, (height, width, 3), np.uint8)
        ground[inside] += 120
        Image.fromarray(ground).save(root / f"images/{i}.jpg", quality=90)
        Image.fromarray(inside.astype(np.uint8)).save(root / f"masks/{i}.png")
    for split, names in {"train": "0123", "val": "4", "test": "5"}.items():
        (root / f"{split}.txt").write_text("\n".join(names))


def run(*command: str) -> tuple[str, float, float]:
    """What `bench` prints, the largest peak of its processes in MB, and its seconds."""
    began, peaks = time.monotonic(), dict[int, float]()
    with tempfile.TemporaryFile("w+") as output:
        arguments = [sys.executable, "-m", "bench", *command]
        process = psutil.Popen(arguments, stdout=output, stderr=subprocess.STDOUT)
        while process.poll() is None:
            for each in (process, *children(process)):
                peaks[each.pid] = max(peaks.get(each.pid, 0.0), peak_mb(each.pid))
            time.sleep(0.1)
        output.seek(0)
        text = output.read()
    if process.returncode:
        sys.exit(f"bench {' '.join(command)}:\n{text}")
    return text, max(peaks.values()), time.monotonic() - began


def children(process: psutil.Process) -> list[psutil.Process]:
    """All processes that it has started."""
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def peak_mb(pid: int) -> float:
    """The peak of a process's resident memory so far: of its own, as `ru_maxrss` is not."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def main() -> int:
    """Make, run and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--size", type=int, nargs=2, default=(6000, 4000))
    parser.add_argument("--evaluate-at", default="image_size")
    chosen = parser.parse_args()
    width, height = chosen.size
    with tempfile.TemporaryDirectory() as place, chdir(place):
        os.environ["BENCH_CACHE"] = f"{place}/cache"
        make_images(Path("data"), width, height)
        settings = {"width": width, "height": height, "evaluate_at": chosen.evaluate_at}
        Path("spec.yaml").write_text(SPEC.format(root=f"{place}/data", **settings))
        predict = ("predict", "large/narrow-s0", "data/images/5.jpg", "--out", "out")
        worst = 0.0
        for command in (
            ("plan", "spec.yaml", "--memory"),
            ("run", "spec.yaml", "-j", "1"),
            (*predict, "--probabilities"),
        ):
            text, peak, seconds = run(*command)
            print(f"bench {command[0]:8}{peak:8,.0f} MB{seconds:8.0f} s", flush=True)
            print("".join(f"  {line}\n" for line in text.splitlines() if "GB" in line), end="")
            worst = max(worst, peak)
    return int(worst > LIMIT_MB)


if __name__ == "__main__":
    sys.exit(main())
