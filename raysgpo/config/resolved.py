"""The settings of a run that can start: what was asked for, with every automatic value filled in."""

from __future__ import annotations

from raysgpo.config.config import Config


class ResolvedConfig(Config):
    """What ``start.preparation`` makes of a Config.

    ``model`` and ``judge.model`` are folders or hub names; the lengths and deadlines of ``rollout`` and of a judge that
    is needed are numbers, and so are the caches of engines on CPUs; ``algorithm.r_min_correct`` is there where the
    baseline has a threshold, and so are the lengths of the guidance, the threads and types of trainer and engines, and
    the layout of the trainer's rows. A run is saved by what was asked for, so this one is never written down.
    """

    @classmethod
    def of(cls, config: Config) -> ResolvedConfig:
        """The same settings; they were checked when ``config`` was made."""
        algorithm, guidance, rollout, judge = config.algorithm, config.guidance, config.rollout, config.judge
        assert rollout.max_model_len is not None, "the longest prompt and answer are known"
        assert rollout.gpus or rollout.kv_cache_gib is not None, "the cache is known"
        assert None not in (rollout.start_deadline, rollout.token_deadline), "the deadlines are known"
        if config.needs_judge:
            assert None not in (judge.start_deadline, judge.call_deadline, judge.deadline), "the deadlines are known"
            if judge.kind == "replicas":
                assert judge.max_model_len is not None, "the longest question is known"
                assert judge.gpus or judge.kv_cache_gib is not None, "the cache is known"
        assert not algorithm.compared_with.threshold or algorithm.r_min_correct is not None, "the threshold is known"
        assert not guidance.on or None not in (guidance.length, guidance.max_length), "the lengths are known"
        assert "auto" not in (config.trainer.dtype, config.trainer.layout, config.rollout.dtype), "types are known"
        assert config.trainer.threads and config.rollout.threads, "the threads are known"
        return cls.model_construct(**{name: getattr(config, name) for name in Config.model_fields})
