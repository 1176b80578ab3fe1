"""What samples and judges for a run: replicas and the weight store. They stay up while the rest is started again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray.exceptions import GetTimeoutError, RayActorError, RayError
from ray.serve.exceptions import RayServeException

from raysgpo.config.overrides import ConfigError
from raysgpo.config.resolved import ResolvedConfig
from raysgpo.judging.address import JudgeAddress
from raysgpo.output.run_folder import RunFolder
from raysgpo.remote import CALL_DEADLINE, Pulse, result
from raysgpo.serving.application import Watch, delete, is_known
from raysgpo.serving.deployment import start_rollout, wait_for_rollout
from raysgpo.serving.handle import RolloutHandle
from raysgpo.serving.judge_replicas import start_judge
from raysgpo.serving.replica import ReplicaState
from raysgpo.session.judge_access import Say, wait_for_judge_replicas
from raysgpo.session.names import RunNames
from raysgpo.session.reaper import reaping
from raysgpo.session.shared_memory import largest_chunk, too_small
from raysgpo.start.preparation import model_settings
from raysgpo.weights.store import StoreHandle, start_weight_store
from raysgpo.weights.store_transport import StoreTransport
from raysgpo.weights.transport import NOTHING_PUBLISHED

ANSWER_DEADLINE = 10.0
"""Seconds in which replicas and store say which weights they hold, before they are replaced."""
JUDGE_GRACE = 5.0
"""Seconds that votes under way may take when the judge replicas are taken down."""


class ServingParts:
    """The replicas of a run, by its names; taken down by ``serving_parts``."""

    def __init__(self, config: ResolvedConfig, names: RunNames, judge: JudgeAddress | None, say: Say) -> None:
        """``judge``: the address of one that runs elsewhere."""
        self._config = config
        self._names = names
        self._say = say
        self._elsewhere = judge
        self._judge: JudgeAddress | None = None
        self._rollout: RolloutHandle | None = None
        self._stored = NOTHING_PUBLISHED
        self._watch = Watch(names.rollout)
        self._told_held_back = False
        self.up = False
        """Whether all of it has come up, and holds its place."""
        self._store = start_weight_store(names.plain)
        self._pulse = Pulse("the weight store", self._store.latest.remote)
        self.transport = transport_of(config, self._store)

    @property
    def run_id(self) -> str:
        return self._names.id

    @property
    def judge(self) -> JudgeAddress | None:
        """Whom to ask; None without a judge's server."""
        return self._judge or self._elsewhere

    @property
    def rollout(self) -> RolloutHandle:
        assert self._rollout is not None, "start() comes first"
        return self._rollout

    def start(self, judging: bool) -> int:
        """Begin to start what is not up; returns the newest weight version that any of it may hold.

        ``judging``: whether judge replicas have anything to do.
        """
        names = self._names
        if judging and not (self._judge and is_known(names.judge)):  # the first: Serve starts with HTTP or without
            self._judge = start_judge(self._config.judge, names.judge)
        newest = self._newest_version()
        if newest is None:
            if self._rollout is not None:
                delete(names.rollout, deadline=0.0)
            config = self._config
            self._rollout = start_rollout(
                config.model,
                config.rollout,
                self.transport,
                name=names.rollout,
                run_id=names.id,
                groups=config.groups_under_way,
            )
        self.up = self.up and newest is not None
        self._stored = self._in_store()
        return max(NOTHING_PUBLISHED if newest is None else newest, self._stored)

    def wait(self) -> None:
        """Return once all of it runs."""
        wait_for_rollout(self._config.model, self._config.rollout, self._names.rollout, self._say)
        check_vocabulary(self._config.model, self.rollout)
        number = 2 if self._config.weights_dtype == "bfloat16" else 4
        for line in too_small(ray.nodes(), largest_chunk(model_settings(self._config.model), number)):
            self._say(line)
        if self._judge is not None:
            wait_for_judge_replicas(self._config, self._judge, self._names.judge, self._say)
        self.up = True

    def check(self) -> None:
        """Raises RuntimeError if the store died or hangs: no weights arrive anywhere until it is published to anew; or
        if Serve has given up on the replicas, which have to be deployed anew then."""
        if self._watch.has_given_up():
            raise RuntimeError("Ray Serve has given up on the rollout replicas, which died while they started")
        self._tell_held_back()
        try:
            stored = self._pulse.answer()
        except RayActorError:  # Ray starts another, which is empty
            stored = NOTHING_PUBLISHED
        if stored is not None and stored < self._stored:
            raise RuntimeError(f"the weight store died, and with it the weights of version {self._stored}")
        self._stored = self._stored if stored is None else stored

    def _tell_held_back(self) -> None:
        """Once: a replica that Serve adds by load may not come up for ever, and the run goes on."""
        why, rollout = self._watch.held_back, self._config.rollout
        if why is None or self._told_held_back:
            return
        self._told_held_back = True
        self._say(
            f"load calls for another rollout replica ({rollout.cpus:g} CPU, {rollout.gpus:g} GPU) and {why}; the run "
            f"goes on with those that are there (rollout.replicas={list(rollout.replicas)}; said once)"
        )

    def end_judging(self) -> None:
        if self._judge is not None:
            self._judge = None
            delete(self._names.judge, JUDGE_GRACE)

    def end(self) -> None:
        if self._rollout is not None:
            delete(self._names.rollout)
        self.end_judging()

    def _newest_version(self) -> int | None:
        """Of all replicas; None where there are none, or one does not say what it holds."""
        if self._rollout is None or not is_known(self._names.rollout):
            return None
        try:
            states = self._rollout.broadcast("drop_requests").results(timeout_s=ANSWER_DEADLINE, return_exceptions=True)
        except (RayServeException, RayError, TimeoutError):  # none of them can be asked
            return None
        if not all(isinstance(state, ReplicaState) and state.broken is None for state in states):
            return None
        return max((state.version for state in states), default=NOTHING_PUBLISHED)

    def _in_store(self) -> int:
        """The newest version there; a store that does not answer is replaced by an empty one."""
        self._pulse = Pulse("the weight store", self._store.latest.remote)
        try:
            return result(self._store.latest.remote(), ANSWER_DEADLINE)
        except RayActorError:
            return NOTHING_PUBLISHED
        except GetTimeoutError:
            ray.kill(self._store, no_restart=False)
            return NOTHING_PUBLISHED


def transport_of(config: ResolvedConfig, store: StoreHandle) -> StoreTransport:
    """As ``rollout.transport`` and ``rollout.checksums`` say."""
    rollout = config.rollout
    checksums = rollout.gpus == 0 if rollout.checksums is None else rollout.checksums
    return StoreTransport(store, checksums, config.broadcast, rollout.delta)


@contextmanager
def serving_parts(
    config: ResolvedConfig, run: RunFolder, judge: JudgeAddress | None, say: Say
) -> Iterator[ServingParts]:
    """Within the block replicas may be started; at its end, or that of this driver, none is left."""
    names = RunNames.of(run)
    with reaping([names.rollout, names.judge]):
        parts = ServingParts(config, names, judge, say)
        try:
            yield parts
        finally:
            parts.end()


def check_vocabulary(model: str, rollout: RolloutHandle) -> None:
    """Refuse an engine whose token ids are not the trainer's: every logprob would be of another token.

    Raises:
        ConfigError: the sizes differ.
    """
    trainer = model_settings(model).vocab_size
    engine = rollout.state.remote().result(timeout_s=CALL_DEADLINE).vocab_size
    if engine != trainer:
        raise ConfigError(
            f"the rollout engine has {engine} tokens and the trainer's model={model} has {trainer}: "
            "both must load the same checkpoint; remove what rollout.engine sets of the model"
        )
