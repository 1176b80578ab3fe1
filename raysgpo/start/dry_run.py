"""What ``--dry-run`` prints: the settings, and what they take of memory as comments that their file may hold."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from raysgpo.config import Config
from raysgpo.config.model_path import POLICIES
from raysgpo.config.overrides import ConfigError, dump
from raysgpo.config.places import in_store, user_path
from raysgpo.planning.cluster_file import read_nodes
from raysgpo.planning.demand import phases
from raysgpo.planning.placement import impossible, nodes_text, placement_lines
from raysgpo.start.data_report import data_comments


def show(config: Config, cluster: str | None = None) -> None:
    """``cluster``: the file of one, on whose nodes the parts of the run are placed.

    Raises:
        ConfigError: a GPU, or the cluster, has no room for what it would hold.
    """
    print(dump(config), end="")
    for line in data_comments(config):
        print(line)
    for line in memory_comments(config):
        print(line)
    if cluster is not None:
        for line in placement_comments(config, Path(cluster)):
            print(line)


def placement_comments(config: Config, cluster: Path) -> Iterator[str]:
    """Lines that begin with ``#``: which parts go to which nodes of the cluster at its largest.

    Raises:
        ConfigError: it has no room for the run, or the file is none of a cluster's.
    """
    nodes = read_nodes(cluster)
    cpus = sum(node.resources.get("CPU", 0.0) for node in nodes)
    yield f"# on {cluster}, {nodes_text(nodes)}:"
    for wanted in phases(config, cpus):
        if (reason := impossible(wanted, nodes)) is not None:
            raise ConfigError(f"--cluster {cluster}: {reason}")
        yield from (f"#   {line}" for line in placement_lines(wanted, nodes))


def memory_comments(config: Config) -> Iterator[str]:
    """Lines that begin with ``#``; of an embedded model, which is made when it is first used, none.

    Raises:
        ConfigError: a GPU has no room for what it would hold.
    """
    if config.model in POLICIES:
        return
    if in_store(config.model):
        yield f"# memory is not planned: {config.model} is fetched when the run starts"
        return
    from raysgpo.planning.model_shape import ModelShape  # torch, which takes seconds to import
    from raysgpo.planning.plan import check_fits, longest_sequence, plan_lines
    from raysgpo.policy.lora import add_adapters
    from raysgpo.policy.model import build_causal
    from raysgpo.start.hub import ask_hub
    from raysgpo.start.machine import Machine, with_machine

    if not user_path(config.model).is_dir():
        ask_hub()
    try:
        causal = build_causal(config.model, "eager")
        add_adapters(causal, config.trainer)
        shape = ModelShape.of(causal)
    except Exception as error:  # a model that is not here yet, or cannot be used: starting the run says which
        yield f"# memory is not planned: {str(error).splitlines()[0]}"
        return
    config = with_machine(config, shape.parameters, Machine.here())
    longest = longest_sequence(config)
    check_fits(shape, config, longest)
    for line in plan_lines(shape, config, longest):
        yield f"# {line}"
