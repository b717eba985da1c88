"""The published study's claims, as hypotheses: all there, and none the wrong way round."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from bench.analysis.evidence import Bounds, Claim, is_expected
from bench.analysis.hypotheses import outcomes
from bench.analysis.load import load
from bench.importing.import_log import ImportRequest, import_log
from bench.plan.expand import make_plan
from bench.record.store import Store
from bench.spec.hypotheses import Hypothesis
from bench.spec.load import load_spec

PUBLISHED = Path(__file__).parents[3] / "shared/data/published/dlp_lab3.csv"
# What each claim of SYSTEMS.md section 1 says: metric, a, b, and what is expected of a.
AUG, MODEL = ("elastic", "none"), ("unet", "resnet34_unet")
CLAIMS = {
    "a_sooner_elastic": ("val/loss@20", *AUG, "lower"),
    "a_sooner_crop": ("val/loss@20", "elastic_or_crop", "none", "lower"),
    "b_same_dice_elastic": ("best_val_dice", *AUG, "equivalent"),
    "b_same_dice_crop": ("best_val_dice", "elastic_or_crop", "none", "equivalent"),
    "c_fewer_epochs": ("epochs_to_95pct", *MODEL, "lower"),
    "d_same_dice": ("best_val_dice", *MODEL, "equivalent"),
    "e_lower_loss": ("final_val_loss", *MODEL[::-1], "lower"),
    "f_longer_epoch": ("epoch_seconds", *MODEL, "higher"),
    "f_more_memory": ("peak_memory_mb", *MODEL, "higher"),
    "f_same_time": ("seconds_to_95pct", *MODEL, "equivalent"),
    "g_loss_rises_unet": ("overfit_gap", "unet", 0.05, "higher"),
    "g_loss_rises_resnet34_unet": ("overfit_gap", "resnet34_unet", 0.05, "higher"),
    "g_dice_stays_unet": ("final_val_dice - best_val_dice", "unet", 0.0, "equivalent"),
    "g_dice_stays_resnet34_unet": (
        "final_val_dice - best_val_dice", "resnet34_unet", 0.0, "equivalent"
    ),
    "h_transposed_overfits": ("overfit_gap", "transposed · none", "bilinear · none", "higher"),
    "i_flips_do_not_help": ("best_val_loss", "flips · bilinear", "none · bilinear", "not_lower"),
}  # fmt: skip
EXPERIMENTS = Path(__file__).parents[2] / "experiments"


def claims(name: str) -> tuple[Hypothesis, ...]:
    return make_plan(load_spec(EXPERIMENTS / name, ["data.download=false"])).hypotheses


def test_every_published_claim_is_a_hypothesis() -> None:
    found = {
        claim.id: (
            claim.metric,
            " · ".join(claim.a.values()),
            " · ".join(claim.b.values()) if isinstance(claim.b, dict) else claim.b,
            claim.expect,
        )
        for name in ("seg_aug.yaml", "seg_variants.yaml")
        for claim in claims(name)
    }
    assert found == CLAIMS
    assert {name[0] for name in found} == set("abcdefghi")


def test_the_author_s_logs_lie_on_the_side_of_his_claims(tmp_path: Path) -> None:
    """Where he read them off: so no claim here is stated the wrong way round."""
    if not PUBLISHED.is_file():
        pytest.skip(f"no published logs at {PUBLISHED}")
    import_log(Store(tmp_path), PUBLISHED, ImportRequest("seg_aug", "a lab report"))
    records = dataclasses.replace(
        load(Store(tmp_path), "seg_aug"), hypotheses=claims("seg_aug.yaml")
    )
    found = {outcome.hypothesis.id: outcome for outcome in outcomes(records)}
    assert {outcome.verdict for outcome in found.values()} == {"inconclusive"}
    for name in ("a_sooner_elastic", "a_sooner_crop", "c_fewer_epochs", "d_same_dice",
                 "e_lower_loss", "g_loss_rises_unet", "g_loss_rises_resnet34_unet",
                 "g_dice_stays_unet", "g_dice_stays_resnet34_unet"):  # fmt: skip
        outcome = found[name]
        hypothesis, mean = outcome.hypothesis, outcome.result.estimate.mean
        low, high = Bounds.of(hypothesis.expect, hypothesis.margin)
        side = Claim.ABOVE if mean > high else Claim.BELOW if mean < low else Claim.WITHIN
        assert is_expected(side, hypothesis.expect), name
    mean = found["c_fewer_epochs"].result.estimate.mean
    assert mean == pytest.approx(((10 - 53) + (15 - 33) + (12 - 35)) / 3)
    assert found["f_more_memory"].result.estimate.n == 0
