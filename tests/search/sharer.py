"""One of several processes that share a study, for tests: prints the ids that it has trained.

python -m tests.search.sharer FOLDER STORAGE TRIALS
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from bench.plan.trial import Trial
from tests.search.made import Lab, bowl


def slowly(trial: Trial, epoch: int) -> float:
    print(json.dumps([trial.id, epoch]), flush=True)
    time.sleep(0.03)
    return bowl(trial, epoch)


def main() -> None:
    folder, storage, trials = sys.argv[1:]
    with pytest.MonkeyPatch.context() as patch:
        lab = Lab(Path(folder), patch, place=None)
        code, _ = lab.search(
            slowly, f"search.trials={trials}", f"search.storage={storage}", "search.confirm_seeds=2"
        )
    print("\n".join(lab.said), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
