"""MLflow's own pages on a store."""

from __future__ import annotations

import os
import sys

from bench.record.store import Store


def ui_command(store: Store, port: int = 5000) -> list[str]:
    """The command that serves MLflow's UI on this store, at 127.0.0.1 only.

    It has to run with `ui_environment`.
    """
    return [
        *(sys.executable, "-m", "mlflow", "ui"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers", "1"),
        *("--backend-store-uri", store.mlflow_uri),
        *("--default-artifact-root", store.artifacts.resolve().as_uri()),
    ]


def ui_environment() -> dict[str, str]:
    """This process's environment, without telemetry unless the user asked for it."""
    return {"MLFLOW_DISABLE_TELEMETRY": "true"} | dict(os.environ)
