"""The Grafana board of a run, by code.

``python -m cluster.monitoring.board > cluster/monitoring/grafana/run.json`` writes it; a test compares.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import units
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)

from raysgpo.output.prometheus import LAST_RECORD, REPLICAS_WANTED, STEP, STEPS_PLANNED, Series, series

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
OF_RUN = 'run=~"$run"'
WIDTH, HEIGHT = 8, 8
"""Of a panel, in Grafana's grid of 24 columns: three beside each other."""


def last(metric: str | Series) -> str:
    """The newest number of a gauge. ``metric``: of a row, such as ``accuracy/mean``, or what only Prometheus has."""
    one = metric if isinstance(metric, Series) else _series(metric)
    labels = ", ".join([OF_RUN, *(f'{name}="{text}"' for name, text in one.labels)])
    return f"max by (run, folder) (ray_{one.name}{{{labels}}})"


def parts(metric: str) -> str:
    """A gauge with all values of its labels, as lines of their own. ``metric``: one of them."""
    one = _series(metric)
    return f"max by (run, folder, {', '.join(one.label_names)}) (ray_{one.name}{{{OF_RUN}}})"


def an_hour(metric: str, *by: str) -> str:
    """What a counter grew by in the hour before: a step may take many minutes."""
    one = _series(metric)
    return f"sum by ({', '.join(('run', 'folder', *by))}) (increase(ray_{one.name}{{{OF_RUN}}}[1h]))"


def _series(metric: str) -> Series:
    found = series(metric)
    assert found is not None, metric
    return found


@dataclass(frozen=True, slots=True)
class Lines:
    """A panel of lines over time."""

    title: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    """PromQL, and what its lines are called beside the run; labels stand in ``{{...}}``."""
    said: str
    """What a healthy run looks like, and what to do where it does not."""
    most: float | None = None
    """The highest number that there can be."""


@dataclass(frozen=True, slots=True)
class Number:
    """A panel of one number of each run."""

    title: str
    unit: str
    query: str
    said: str


NUMBERS = (
    Number("Step", units.Short, last(STEP), "Optimizer steps done."),
    Number("Of all steps", units.PercentUnit, f"{last(STEP)} / {last(STEPS_PLANNED)}", "Share of the steps done."),
    Number(
        "Since the last record", units.Seconds, f"time() - {last(LAST_RECORD)}",
        "Seconds since a step or an evaluation was recorded. More than a few steps' time: docs/monitoring.md, no step.",
    ),
    Number("Held-out accuracy", units.PercentUnit, last("eval/accuracy"), "Of the last evaluation."),
    Number("Replicas", units.Short, last("rollout/replicas"), "Rollout replicas that answered the last push."),
    Number("Seconds a step", units.Seconds, last("time/step"), "Of the last step."),
)  # fmt: skip

ROWS: dict[str, tuple[Lines, ...]] = {
    "Learning": (
        Lines(
            "Accuracy", units.PercentUnit, ((last("accuracy/mean"), "training"), (last("eval/accuracy"), "held-out")),
            "Share of right final answers. Training and held-out should rise together.", 1.0,
        ),
        Lines(
            "All-negative groups", units.PercentUnit,
            ((last("groups/all_negative_share"), "all-negative"), (last("groups/degenerate_share"), "all alike")),
            "Groups in which every answer is wrong, and in which all rewards agree. The first should fall; stuck near "
            "1, the task is too hard for the policy.", 1.0,
        ),
        Lines(
            "Judged groups", units.PercentUnit, ((last("groups/judged_share"), "judged"),),
            "Of the all-negative groups, those that the judge gave a score. A fall while judging goes on: see the "
            "judge's failures.", 1.0,
        ),
        Lines(
            "Reasoning Trajectory Score", units.PercentUnit,
            (
                (last("judge/rts_mean"), "all"), (last("judge/rts_finished"), "finished"),
                (last("judge/rts_truncated"), "cut off"),
            ),
            "How far judged answers get before their first wrong step. It should rise.", 1.0,
        ),
        Lines(
            "Wrong and reinforced", units.PercentUnit,
            (
                (last("advantage/wrong_positive_rate"), "of the wrong"),
                (last("advantage/wrong_positive_share"), "of all"),
            ),
            "Wrong answers with a positive advantage. 0 under CoRPO; under SGPO partial credit makes some.", 1.0,
        ),
        Lines(
            "Entropy", units.Short, ((last("entropy/sampled"), "nats a token"),),
            "Of what was sampled. A fall to 0 is a policy that has stopped exploring.",
        ),
    ),
    "Groups and judge": (
        Lines(
            "Groups in an hour", units.Short, ((an_hour("groups/trained", "fate"), "{{fate}}"),),
            "By what became of them. Many too_old: lower max_staleness; many failed: the replicas.",
        ),
        Lines(
            "Judge in an hour", units.Short,
            ((an_hour("judge/calls"), "questions"), (an_hour("judge/errors", "reason"), "{{reason}}")),
            "Questions put to the judge, and those without a vote.",
        ),
        Lines(
            "Answers cut off", units.PercentUnit, ((last("tokens/truncated_share"), "cut off"),),
            "Answers that met the length limit.", 1.0,
        ),
    ),
    "Off-policy": (
        Lines(
            "Staleness", units.Short, ((last("staleness/mean"), "mean"), (last("staleness/max"), "oldest")),
            "Optimizer steps between the weights that sampled and the step that trains; max_staleness bounds it.",
        ),
        Lines(
            "Trainer against sampler", units.Short,
            ((last("policy/mismatch_abs"), "mean"), (last("policy/mismatch_max"), "largest")),
            "Difference of the logprobs of the same tokens, nats. It is small where the engine computes as the trainer "
            "does; a jump means that a replica holds other weights.",
        ),
        Lines(
            "Token ratio", units.Short,
            ((last("policy/ratio_mean"), "mean"), (last("policy/clip_share"), "share clipped")),
            "New policy over old, mean over the tokens: about 1.",
        ),
    ),
    "Speed": (
        Lines("Tokens a second", units.Short, ((last("tokens/per_second"), "sampled"),), "Of the last step."),
        Lines(
            "Seconds by phase", units.Seconds, ((parts("time/sync"), "{{phase}}"), (last("time/step"), "step")),
            "Phases overlap: together they may be more than the step.",
        ),
        Lines(
            "Weight sync", units.Seconds,
            ((last("time/sync"), "all"), (parts("sync/push_seconds"), "{{part}}")),
            "meeting: roll call and new group; publish: gathering, writing, sending; push: until the last replica "
            "answered.",
        ),
        Lines(
            "Idle", units.PercentUnit,
            (
                (f"{last('time/wait')} / {last('time/step')}", "trainer waits"),
                (f"{last('time/other')} / {last('time/step')}", "nothing runs"),
            ),
            "Share of the step in which the trainer waited for groups, and in which no phase ran. A trainer that waits "
            "wants more replicas, or max_staleness above 0.", 1.0,
        ),
        Lines(
            "Replicas and ranks", units.Short,
            (
                (last("rollout/replicas"), "answered"), (last("sync/replicas"), "took the weights"),
                (last(REPLICAS_WANTED), "fewest wanted"), (last("train/workers"), "ranks of the trainer"),
            ),
            "Rollout replicas at the last push, and the ranks that trained the step.",
        ),
        Lines(
            "Checkpoint", units.Seconds, ((last("checkpoint/seconds"), "written in"),),
            "From asking for it until it was complete, beside the training.",
        ),
    ),
    "Nodes": (
        Lines(
            "Disk in use", units.PercentUnit,
            (
                (
                    "max by (ip) (ray_node_disk_usage / (ray_node_disk_usage + ray_node_disk_free))",
                    "{{ip}}",
                ),
            ),
            "Of each node of the cluster, of the disk under /. On Kubernetes Ray says it only with "
            "RAY_DASHBOARD_ENABLE_K8S_DISK_USAGE=1.", 1.0,
        ),
        Lines(
            "Memory in use", units.PercentUnit, (("max by (ip) (ray_node_mem_used / ray_node_mem_total)", "{{ip}}"),),
            "Of each node of the cluster.", 1.0,
        ),
        Lines(
            "CPU in use", units.Percent, (("max by (ip) (ray_node_cpu_utilization)", "{{ip}}"),),
            "Of each node of the cluster. Ray's own boards have its GPUs.", 100.0,
        ),
    ),
}  # fmt: skip


def board() -> Dashboard:
    """The whole board, with variables for the data source and the runs."""
    built = (
        dashboard.Dashboard("raysgpo: a run")
        .uid("raysgpo-run")
        .tags(["raysgpo", "ray"])
        .description("docs/monitoring.md of raysgpo says what each panel is for; docs/metrics.md defines the numbers.")
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("run")
            .label("Run")
            .query(f"label_values(ray_{STEP.name}, run)")
            .datasource(SOURCE)
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_DESC)
            .multi(True)
            .include_all(True)
        )
    )
    for number in NUMBERS:
        built = built.with_panel(_number(number))
    for title, row in ROWS.items():
        built = built.with_row(dashboard.Row(title))
        for lines in row:
            built = built.with_panel(_lines(lines))
    return built.build()


def queries() -> list[str]:
    """PromQL of every panel."""
    return [
        *(number.query for number in NUMBERS),
        *(query for lines in chain(*ROWS.values()) for query, _ in lines.queries),
    ]


def _number(number: Number) -> stat.Panel:
    return (
        stat.Panel()
        .title(number.title)
        .description(number.said)
        .datasource(SOURCE)
        .unit(number.unit)
        .span(4)
        .height(4)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_query(number.query, "{{run}}"))
    )


def _lines(lines: Lines) -> timeseries.Panel:
    panel = (
        timeseries.Panel()
        .title(lines.title)
        .description(lines.said)
        .datasource(SOURCE)
        .unit(lines.unit)
        .min(0)
        .span(WIDTH)
        .height(HEIGHT)
        .show_points(VisibilityMode.AUTO)
        .legend(
            common.VizLegendOptions()
            .display_mode(LegendDisplayMode.TABLE)
            .placement(LegendPlacement.BOTTOM)
            .show_legend(True)
            .calcs(["lastNotNull"])
        )
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if lines.most is not None:
        panel = panel.max(lines.most)
    for number, (query, name) in enumerate(lines.queries):
        of_a_node = "{{ip}}" in name
        panel = panel.with_target(_query(query, name if of_a_node else f"{{{{run}}}} {name}", chr(ord("A") + number)))
    return panel


def _query(query: str, name: str, letter: str = "A") -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(query).legend_format(name).ref_id(letter).datasource(SOURCE)


def page() -> str:
    """The board as Grafana imports it."""
    return json.dumps(board(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    print(page(), end="")
