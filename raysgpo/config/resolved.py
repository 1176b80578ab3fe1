"""The settings of a run that can start: what was asked for, with every automatic value filled in."""

from __future__ import annotations

from raysgpo.config.config import Config


class ResolvedConfig(Config):
    """What ``start.preparation`` makes of a Config.

    ``model`` and ``judge.model`` are folders or hub names, ``rollout.max_model_len`` is a number,
    ``algorithm.r_min_correct`` is there where the baseline has a threshold, and so are the lengths of the
    guidance, the threads and types of trainer and engines, and the layout of the trainer's rows. A run is saved by
    what was asked for, so this one is never written down.
    """

    @classmethod
    def of(cls, config: Config) -> ResolvedConfig:
        """The same settings; they were checked when ``config`` was made."""
        algorithm, guidance = config.algorithm, config.guidance
        assert config.rollout.max_model_len is not None, "the longest prompt and answer are known"
        assert not algorithm.compared_with.threshold or algorithm.r_min_correct is not None, "the threshold is known"
        assert not guidance.on or None not in (guidance.length, guidance.max_length), "the lengths are known"
        assert "auto" not in (config.trainer.dtype, config.trainer.layout, config.rollout.dtype), "types are known"
        assert config.trainer.threads and config.rollout.threads, "the threads are known"
        return cls.model_construct(**{name: getattr(config, name) for name in Config.model_fields})
