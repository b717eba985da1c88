"""What a trial takes of a node, and what is said of nodes; without Ray."""

from __future__ import annotations

from typing import Any

import pytest

from bench.commands.cluster_checks import check_node, cluster_checks
from bench.errors import BenchError
from bench.run.executor_options import ExecutorOptions
from bench.run.executors.cluster import Node, TrialShare, connected, trial_share
from bench.spec.schema import Machine, TrialSettings
from tests.builders.training import SETTINGS, make_trial

CPU_NODE = Node("aa", "small", {"CPU": 16.0, "memory": 64e9})
GPU_NODE = Node("bb", "large", {"CPU": 32.0, "GPU": 4.0, "memory": 256e9, "a100": 4.0})


def machine(**settings: Any) -> Machine:
    return Machine.model_validate(settings)


def test_a_gpu_and_an_equal_part_of_the_cores_where_there_are_gpus() -> None:
    share = trial_share(machine(), [CPU_NODE, GPU_NODE])
    assert (share.gpus, share.cpus, share.threads) == (1.0, 8.0, 8)
    assert (CPU_NODE.room_for(share.resources), GPU_NODE.room_for(share.resources)) == (0, 4)


def test_a_core_where_there_are_none() -> None:
    share = trial_share(machine(threads=2), [CPU_NODE])
    assert (share.gpus, share.cpus, share.threads) == (0.0, 2.0, 2)
    assert CPU_NODE.room_for(share.resources) == 8
    assert trial_share(machine(device="cpu"), [GPU_NODE]).gpus == 0.0


def test_what_the_settings_ask_for() -> None:
    resources = {"gpus": 0.5, "cpus": 3, "memory_gb": 20.0, "custom": {"a100": 0.5}}
    share = trial_share(machine(resources=resources), [CPU_NODE, GPU_NODE])
    assert share.options == {
        "num_cpus": 3.0,
        "num_gpus": 0.5,
        "memory": 20e9,
        "resources": {"a100": 0.5},
    }
    assert share.per_gpu == 2
    assert GPU_NODE.room_for(share.resources) == 8
    assert str(share) == "3 CPUs, 0.5 GPU, 20 GB, 0.5 a100"


def test_trials_that_share_a_gpu_where_memory_allows() -> None:
    share = trial_share(machine(), [GPU_NODE], per_gpu=2)
    assert (share.gpus, share.cpus, share.per_gpu) == (0.5, 4.0, 2)


def test_a_trial_of_several_devices_takes_as_many_gpus_of_one_node() -> None:
    share = trial_share(machine(), [GPU_NODE], per_gpu=2, devices=2)
    assert (share.gpus, share.cpus, share.threads) == (2.0, 16.0, 8)
    assert GPU_NODE.room_for(share.resources) == 2
    on_cpus = trial_share(machine(threads=3), [CPU_NODE], devices=2)
    assert (on_cpus.gpus, on_cpus.cpus, on_cpus.threads) == (0.0, 6.0, 3)
    with pytest.raises(BenchError, match=r"leave it out, since train\.devices asks for 2 GPUs"):
        trial_share(machine(resources={"gpus": 0.5}), [GPU_NODE], devices=2)


def test_a_third_of_a_gpu_fits_three_times() -> None:
    share = TrialShare(cpus=1, gpus=1 / 3, threads=1)
    assert share.per_gpu == 3
    assert GPU_NODE.room_for(share.resources) == 12


def test_resources_are_no_part_of_a_trial_s_identity() -> None:
    asked = make_trial(machine={"resources": {"gpus": 0.5, "memory_gb": 8.0}})
    assert asked.id == make_trial().id


@pytest.mark.parametrize(
    "resources", [{"gpus": 2.0}, {"cpus": 0.0}, {"memory_gb": 0.0}, {"custom": {"a": 0.0}}]
)
def test_what_cannot_be_asked_for(resources: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="resources"):
        TrialSettings.model_validate({**SETTINGS, "machine": {"resources": resources}})


def test_an_address_without_a_cluster_is_refused() -> None:
    with pytest.raises(BenchError, match="--address auto: goes with --executor ray"):
        ExecutorOptions("local", "auto")


def test_ray_s_client_is_refused_with_what_to_do() -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install 'bench[ray]'")
    with (
        pytest.raises(BenchError, match="run bench on a node of the cluster"),
        connected("ray://head:10001"),
    ):
        pass


def test_doctor_says_what_differs_on_a_node() -> None:
    own = {"bench": "1", "torch": "2.9.0+cpu", "torchvision": "0.24"}
    same = check_node(GPU_NODE, own | {"torch": "2.9.0+cu128"}, own)
    assert (same.name, same.state) == ("ray node large", "ok")
    assert same.finding == "32 CPUs, 256.0 GB, 4 GPUs, torch 2.9.0+cu128"
    other = check_node(GPU_NODE, own | {"torch": "2.8.0"}, own)
    assert (other.state, other.remedy.split(":")[0]) == ("problem", "install torch 2.9.0 there")
    assert check_node(CPU_NODE, None, own).state == "warning"


def test_doctor_without_ray_and_without_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (check,) = cluster_checks(None)
    assert check.state == "ok"
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert cluster_checks(None)[0].finding == "not installed: trials run on this machine"
    assert cluster_checks("auto")[0].state == "problem"
