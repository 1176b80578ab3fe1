"""The sets of ``evaluation.sets`` on a run's replicas, as ``jobs/evaluate.py`` asks them."""

from __future__ import annotations

from dataclasses import asdict

from raysgpo.evaluation.answers import AnswerRow, wanted
from raysgpo.evaluation.asking import answer_all
from raysgpo.evaluation.grading import Grading
from raysgpo.evaluation.replicas import IN_FLIGHT, ReplicaAnswers
from raysgpo.evaluation.scores import set_metrics, set_scores
from raysgpo.groups.prepared import Prepared
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.output.json_lines import Row
from raysgpo.output.metrics import Metrics


class EvaluatedSets:
    """Asks all sets of whatever weights the replicas hold."""

    def __init__(self, prepared: Prepared, sample: RetryingSampler) -> None:
        self._config, self._sets, self._sample = prepared.config, prepared.sets, sample
        self._grading = Grading(one.of.settings for one in prepared.sets)

    async def run(self, min_version: int) -> tuple[Metrics, list[Row]]:
        """The scores of weights of ``min_version``, and every answer: rows of ``evaluation_set_answers.jsonl`` less
        their step."""
        if not self._sets:
            return {}, []
        longest, seed = self._config.rollout.max_model_len, self._config.seed
        assert longest is not None, "the engine is sized"
        rows: list[AnswerRow] = []
        ask = ReplicaAnswers(self._sample, self._sets, longest, min_version)
        questions = wanted([one.of for one in self._sets], seed)
        at_once = IN_FLIGHT * self._config.rollout.replicas[1]
        await answer_all("", questions, {}, ask, self._grading, rows.append, at_once)
        metrics: Metrics = {}
        for one in self._sets:
            mine = [row for row in rows if row.set == one.of.name]
            metrics |= set_metrics(one.of.name, set_scores(mine, one.of.settings, seed))
        rows.sort(key=lambda row: (row.set, row.id, row.sample))
        return metrics, [{name: value for name, value in asdict(row).items() if name != "model"} for row in rows]
