"""What a run asks of the cluster as a whole, and the labels by which its parts find their nodes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from raysgpo.config.section import Section

ROLE = "role"
"""The label of a node that says what it is for, such as ``role=trainer``."""
Role = Literal["head", "trainer", "rollout", "judge", "steady"]
"""``steady``: whatever is neither of rollout nor of judge replicas, whose nodes come and go."""

ROLES = ("head", "trainer", "rollout", "judge")
"""Values of that label."""


def checked_labels(given: object) -> object:
    """A label selector as Ray has it: {label: value}.

    Raises:
        PydanticCustomError: it is none.
    """
    if given is None or (
        isinstance(given, dict) and all(type(part) is str and part for item in given.items() for part in item)
    ):
        return given
    written = "write labels and their values, as in {role: trainer, market-type: '!spot'}"
    raise PydanticCustomError("labels", "{written}", {"written": written})


Labels = dict[str, str]
LabelSelector = Annotated[Labels | None, BeforeValidator(checked_labels)]
"""Labels that a node must have for a part of the run, by Ray's rules: ``v``, ``!v``, ``in(v,w)``, ``!in(v,w)``."""


class ClusterConfig(Section):
    """The nodes that a run goes to."""

    node_deadline: float = Field(1800.0, gt=0)
    """Seconds to wait for nodes that an autoscaler starts, or that other runs hold: nodes with GPUs take 10 to 20
    minutes to come. The processes on them have deadlines of their own."""
    group_worker_selector: LabelSelector = None
    """Labels that the nodes of the group workers must have, which grade and judge; None: any ``role`` but rollout and
    judge, whose nodes come and go, where there are other nodes with CPUs to give."""
    placement: Literal["apart", "together"] = "apart"
    """``apart``: the trainer and the replicas have GPUs of their own. ``together``, on the same GPUs in turns, is not
    built: nothing of it could be tried."""

    @model_validator(mode="after")
    def _built(self) -> ClusterConfig:
        if self.placement == "together":
            raise ValueError(
                "cluster.placement=together, where engines sleep on their GPUs while the trainer trains, is not built: "
                "set cluster.placement=apart, with fractions such as rollout.gpus=0.4 trainer.gpus=0.5 to share a GPU"
            )
        return self
