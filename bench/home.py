"""A home folder where the system knows none: `env -i`, a container's user without a name."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from pathlib import Path


def find_home() -> None:
    """Give this process and its workers a HOME and a user's name, which libraries ask for.

    The folder is a private one and goes when the command ends: what is kept in it (data that was
    downloaded, prepared data) is made anew by the next command.
    """
    _find_user()
    try:
        Path.home()
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="bench-home-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["HOME"] = folder
        if "BENCH_CACHE" not in os.environ:
            print(
                "No home folder is known: prepared and downloaded data are kept for this command "
                "only; set HOME, or BENCH_CACHE to a folder.",
                file=sys.stderr,
            )


def _find_user() -> None:
    if sys.platform == "win32" or any(name in os.environ for name in ("LOGNAME", "USER")):
        return
    import pwd

    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        os.environ["LOGNAME"] = f"uid{os.getuid()}"
