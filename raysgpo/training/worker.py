"""The loop of a Ray Train worker: take a share, update, publish, report."""

from __future__ import annotations

import time

import ray.train
import torch

from raysgpo.conductor.messages import Decision, TrainReport
from raysgpo.output.metrics import Interval, Metrics
from raysgpo.output.update_metrics import over_updates
from raysgpo.policy.policy import Policy
from raysgpo.remote import result
from raysgpo.stores.stored_model import fetch_here
from raysgpo.training.checkpoints import Checkpoints
from raysgpo.training.job import TrainJob
from raysgpo.training.leaving import leaving_nodes
from raysgpo.training.peak_memory import PeakMemory


class TrainWorker:
    """One rank. All ranks take part in the collectives; rank 0 speaks to the others."""

    def __init__(self, job: TrainJob) -> None:
        self._job = job
        self._config = job.config
        context = ray.train.get_context()
        self._rank, self._world = context.get_world_rank(), context.get_world_size()
        config = job.config
        fetch_here(config.model)
        with PeakMemory() as peak:
            self._policy = Policy.build(
                config.model,
                config.trainer,
                config.optimizer,
                config.algorithm,
                config.sampling.temperature,
                job.total_steps * config.optimizer.updates_per_step,
                self._world,
            )
        self._start_memory = peak.of_all_ranks()
        """For the first step that is reported."""
        self._checkpoints = Checkpoints(job, self._policy)
        self._checkpoint_interval: Interval = (0.0, 0.0)

    def run(self) -> None:
        step, conductor = self._checkpoints.restore(), self._job.conductor
        # The replicas come up at the same time; they have a deadline of their own, which ends the run.
        result(conductor.publishing_open.remote(), None)
        self._publish(step)
        self._score()
        if self._rank == 0:
            result(conductor.evaluate_start.remote(), None)
        while step < self._job.total_steps:
            decision = self._step(step)
            step += 1
            if decision.checkpoint:
                self._save(step, decision.export)
            if decision.stop:
                break
        self._checkpoints.finish()

    def _step(self, step: int) -> Decision:
        waited, conductor = time.time(), self._job.conductor
        shares = result(conductor.step.remote(step, self._rank, self._world), None)
        written, started = self._checkpoints.written(), time.time()
        metrics = over_updates([(self._policy.update(share), share.num_tokens) for share in shares])
        self._tell_cut_passes()
        trained = time.time()
        version, sync = self._publish(step + 1)
        synced = time.time()
        if self._rank != 0:
            return result(conductor.decision.remote(step), None)
        report = TrainReport(
            metrics={**metrics, **sync, **self._start_memory, **written, "train/workers": self._world},
            version=version,
            wait=(waited, started),
            train=(started, trained),
            sync=(trained, synced),
            checkpoint=self._checkpoint_interval,
            leaving=leaving_nodes(),
        )
        self._start_memory = {}
        return result(conductor.trained.remote(step, report), None)

    def _publish(self, step: int) -> tuple[int, Metrics]:
        """The weights get the next version (rank 0 says which) and go to whoever wants them."""
        job, dtype = self._job, getattr(torch, self._config.weights_dtype)
        if self._rank != 0:
            job.publisher.take_part(self._policy.weights(dtype))
            return 0, {}
        version = result(job.conductor.next_version.remote(step))
        sync = job.publisher.publish(version, self._policy.weights(dtype), self._config.rollout.update_seconds)
        for message in sync.failures:
            job.conductor.say.remote(message)
        result(job.conductor.published.remote(version, step, self._world))
        return version, {**sync.metrics}

    def _score(self) -> None:
        """Logprobs of groups that came without any, under the policy that the run starts from."""
        conductor, batch = self._job.conductor, 0
        while (share := result(conductor.unscored.remote(batch, self._rank, self._world))) is not None:
            logprobs = self._policy.logprobs(share)
            result(conductor.scored.remote(batch, self._rank, self._world, logprobs))
            batch += 1

    def _tell_cut_passes(self) -> None:
        if self._policy.cut_passes:
            self._job.conductor.say.remote(
                "warning: a pass of the trainer did not fit into the GPU's memory and was cut, which costs time in "
                "every update: lower trainer.tokens_per_micro_batch"
            )

    def _save(self, step: int, exported: bool) -> None:
        start = time.time()
        self._checkpoints.save(step, exported)
        self._checkpoint_interval = (start, time.time())
