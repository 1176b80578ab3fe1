"""The loop of a Ray Train worker: take a share, update, publish, report."""

from __future__ import annotations

import time
from typing import Any

import ray
import ray.train
import torch
import torch.distributed

from raysgpo.conductor.messages import Decision, TrainReport
from raysgpo.output import checkpoint
from raysgpo.output.metrics import NO_UPDATE, Interval, Metrics
from raysgpo.policy.policy import Policy
from raysgpo.policy.sequences import Share
from raysgpo.training.job import TrainJob
from raysgpo.weights.publisher import publish_weights

CALL_DEADLINE = 60.0
"""Seconds for a call to an actor that answers at once."""


class TrainWorker:
    """One rank. All ranks take part in the collectives; rank 0 speaks to the others."""

    def __init__(self, job: TrainJob) -> None:
        self._job = job
        self._config = job.config
        context = ray.train.get_context()
        self._rank, self._world = context.get_world_rank(), context.get_world_size()
        torch.set_num_threads(job.config.trainer.threads)
        config = job.config
        self._policy = Policy.build(
            config.model,
            config.trainer,
            config.optimizer,
            config.algorithm,
            config.sampling.temperature,
            job.total_steps,
            self._world,
        )
        self._checkpoint_interval: Interval = (0.0, 0.0)

    def run(self) -> None:
        step = self._restore()
        # The replicas come up at the same time; they have a deadline of their own, which ends the run.
        ray.get(self._job.conductor.wait_for_replicas.remote())
        self._publish(step)
        if self._job.score and step == 0:
            self._score()
        if self._rank == 0:
            ray.get(self._job.conductor.evaluate_start.remote())
        while step < self._job.total_steps:
            decision = self._step(step)
            step += 1
            if decision.checkpoint:
                self._save(step)
            if decision.stop:
                return

    def _step(self, step: int) -> Decision:
        waited = time.time()
        share: Share = ray.get(self._job.conductor.step.remote(step, self._rank, self._world))
        started = time.time()
        metrics = self._policy.update(share) if share.num_tokens else NO_UPDATE
        trained = time.time()
        version, sync = self._publish(step + 1)
        synced = time.time()
        if self._rank != 0:
            return ray.get(self._job.conductor.decision.remote(step))
        report = TrainReport(
            metrics={**metrics, **sync},
            version=version,
            wait=(waited, started),
            train=(started, trained),
            sync=(trained, synced),
            checkpoint=self._checkpoint_interval,
        )
        return ray.get(self._job.conductor.trained.remote(step, report))

    def _publish(self, step: int) -> tuple[int, Metrics]:
        """The weights get the next version (rank 0 says which) and, where replicas sample, are brought to them."""
        job = self._job
        if self._rank != 0:
            if job.rollout is not None:
                for _ in self._policy.weights():  # gathered by all ranks together
                    pass
            return 0, {}
        version: int = ray.get(job.conductor.next_version.remote(step), timeout=CALL_DEADLINE)
        metrics: Metrics = {}
        if job.rollout is not None:
            deadline = self._config.rollout.update_deadline
            report = publish_weights(job.store, job.rollout, version, self._policy.weights(), deadline)
            for message in report.failures:
                job.conductor.say.remote(message)
            metrics = {"sync/replicas": len(report.landed), "sync/failures": len(report.failures)}
        ray.get(job.conductor.published.remote(version, step), timeout=CALL_DEADLINE)
        return version, metrics

    def _score(self) -> None:
        """Logprobs of recorded groups that have none, under the policy that the run starts from."""
        conductor, batch = self._job.conductor, 0
        while (share := ray.get(conductor.to_score.remote(batch, self._rank, self._world))) is not None:
            logprobs = self._policy.logprobs(share)
            ray.get(conductor.scored.remote(batch, self._rank, self._world, logprobs), timeout=CALL_DEADLINE)
            batch += 1

    def _restore(self) -> int:
        """Load the newest complete checkpoint, if there is one; the number of steps it has."""
        try:
            folder, messages = checkpoint.newest_complete(self._job.checkpoints)
        except FileNotFoundError:
            return 0
        if self._rank == 0:
            for message in messages:
                self._job.conductor.say.remote(message)
        self._policy.load(folder)
        return int(checkpoint.read_state(folder)["step"])

    def _save(self, step: int) -> None:
        start = time.time()
        conductor, folder = self._job.conductor, self._job.checkpoints
        if self._rank == 0:
            checkpoint.begin(folder, step)
        torch.distributed.barrier()
        self._policy.save(checkpoint.partial(folder, step))
        if self._rank == 0:
            state: dict[str, Any] = ray.get(conductor.checkpoint_state.remote(step), timeout=CALL_DEADLINE)
            checkpoint.commit(folder, step, state, self._config.checkpoint.keep)
            ray.get(conductor.checkpointed.remote(step), timeout=CALL_DEADLINE)
        self._checkpoint_interval = (start, time.time())
