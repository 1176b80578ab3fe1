"""Series of a run that should alarm somebody, and of one that should not, for ``promtool test rules``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RUN = 'run="arithmetic-001",folder="/r/arithmetic-001"'
HEALTHY: dict[str, str] = {
    "ray_raysgpo_step{%s}": "0+1x600",
    "ray_raysgpo_steps_planned{%s}": "1000x600",
    "ray_raysgpo_last_record_timestamp_seconds{%s}": "0+60x600",
    "ray_raysgpo_step_seconds{%s}": "60x600",
    'ray_raysgpo_run_info{%s,baseline="mean",credit="sgpo"}': "1x600",
    "ray_raysgpo_groups_all_negative_ratio{%s}": "0.6x600",
    "ray_raysgpo_groups_judged_ratio{%s}": "0.95x600",
    "ray_raysgpo_judge_allowed_groups{%s}": "32x600",
    'ray_raysgpo_groups_total{%s,fate="trained"}': "0+20x600",
    'ray_raysgpo_groups_total{%s,fate="no_signal"}': "0+12x600",
    "ray_raysgpo_judge_calls_total{%s}": "0+100x600",
    'ray_raysgpo_judge_failures_total{%s,reason="timeouts"}': "0+1x600",
    'ray_raysgpo_judge_failures_total{%s,reason="errors"}': "0x600",
    "ray_raysgpo_advantage_wrong_positive_ratio{%s}": "0.3x600",
    "ray_raysgpo_rollout_replicas{%s}": "2x600",
    "ray_raysgpo_rollout_replicas_wanted{%s}": "2x600",
    "ray_raysgpo_sync_failures_total{%s}": "0x600",
    'ray_raysgpo_phase_seconds{%s,phase="sync"}': "2x600",
    'ray_raysgpo_phase_seconds{%s,phase="wait"}': "30x600",
    "ray_raysgpo_policy_mismatch_mean_nats{%s}": "0.01x600",
    "ray_raysgpo_policy_token_ratio{%s}": "1.0x600",
    "ray_raysgpo_policy_skipped_updates_total{%s}": "0x600",
    'ray_node_disk_free{ip="10.0.0.1"}': "600x600",
    'ray_node_disk_usage{ip="10.0.0.1"}': "400x600",
    'up{job="ray",instance="10.0.0.1:8080"}': "1x600",
}
"""A sample a minute for ten hours; ``%s``: the run's labels."""

ILL: dict[str, dict[str, str | None]] = {
    "RaysgpoNoStep": {"ray_raysgpo_last_record_timestamp_seconds{%s}": "0+60x300 18000x300"},
    "RaysgpoRunGone": {
        "ray_raysgpo_step{%s}": "0+1x588 stale",
        "ray_raysgpo_steps_planned{%s}": "1000x588 stale",
        "ray_raysgpo_last_record_timestamp_seconds{%s}": "0+60x588 stale",
    },
    "RaysgpoAllNegativeStuck": {"ray_raysgpo_groups_all_negative_ratio{%s}": "0.97x600"},
    "RaysgpoNothingLearned": {'ray_raysgpo_groups_total{%s,fate="trained"}': "0+20x300 6000x300"},
    "RaysgpoJudgeFailing": {'ray_raysgpo_judge_failures_total{%s,reason="errors"}': "0+25x600"},
    "RaysgpoJudgedShareDown": {"ray_raysgpo_groups_judged_ratio{%s}": "0.2x600"},
    "RaysgpoWrongReinforced": {
        'ray_raysgpo_run_info{%s,baseline="mean",credit="sgpo"}': None,
        'ray_raysgpo_run_info{%s,baseline="corpo",credit="sgpo"}': "1x600",
    },
    "RaysgpoReplicasMissing": {"ray_raysgpo_rollout_replicas{%s}": "1x600"},
    "RaysgpoSyncFailing": {"ray_raysgpo_sync_failures_total{%s}": "0+1x600"},
    "RaysgpoSyncSlow": {'ray_raysgpo_phase_seconds{%s,phase="sync"}': "25x600"},
    "RaysgpoTrainerIdle": {'ray_raysgpo_phase_seconds{%s,phase="wait"}': "55x600"},
    "RaysgpoWeightMismatch": {"ray_raysgpo_policy_mismatch_mean_nats{%s}": "0.2x600"},
    "RaysgpoRatioOff": {"ray_raysgpo_policy_token_ratio{%s}": "0.7x600"},
    "RaysgpoUpdatesSkipped": {"ray_raysgpo_policy_skipped_updates_total{%s}": "0x580 0+1x20"},
    "RaysgpoDiskFilling": {
        'ray_node_disk_free{ip="10.0.0.1"}': "850-1x600",
        'ray_node_disk_usage{ip="10.0.0.1"}': "150+1x600",
    },
    "RayNodeUnreachable": {'up{job="ray",instance="10.0.0.1:8080"}': "1x580 0x20"},
}
"""Each alert to what is different where it should fire after ten hours; None: not there."""


def promtool_tests(rules: Path) -> dict[str, Any]:
    """The healthy run, which alarms nobody, and each ill one, of which one alert is firing."""
    cases = [_case(HEALTHY, None), *(_case(HEALTHY | changes, alert) for alert, changes in ILL.items())]
    return {"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": cases}


def _case(series: dict[str, str | None] | dict[str, str], alert: str | None) -> dict[str, Any]:
    given = [{"series": name.replace("%s", RUN), "values": values} for name, values in series.items() if values]
    expected = [] if alert is None else [{"labels": f'{{alertname="{alert}"}}', "value": 1}]
    firing = 'count by (alertname) (ALERTS{alertstate="firing"})'
    test = {"expr": firing, "eval_time": "600m", "exp_samples": expected}
    return {"interval": "1m", "input_series": given, "promql_expr_test": [test]}
