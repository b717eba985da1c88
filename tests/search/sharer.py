"""One of several processes that share a study, for tests: prints the ids that it has trained.

python -m tests.search.sharer FOLDER STORAGE TRIALS [EPOCHS]

After so many epochs it hangs, alive, until it is killed.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from pathlib import Path

import pytest

from bench.plan.trial import Trial
from tests.builders.searches import Lab, bowl


def main() -> None:
    folder, storage, trials, *hangs = sys.argv[1:]
    left = itertools.count(int(hangs[0]) - 1 if hangs else -1, -1)

    def slowly(trial: Trial, epoch: int) -> float:
        print(json.dumps([trial.id, epoch]), flush=True)
        time.sleep(120 if next(left) == 0 else 0.03)
        return bowl(trial, epoch)

    with pytest.MonkeyPatch.context() as patch:
        lab = Lab(Path(folder), patch, study_storage=None)
        code, _ = lab.search(
            slowly, f"search.trials={trials}", f"search.storage={storage}", "search.confirm_seeds=2"
        )
    print("\n".join(lab.said), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
