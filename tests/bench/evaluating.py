"""An evaluation of three sets against bare vLLM: tokens per second and their ratio.

    python tests/bench/evaluating.py MODEL [--limit 12] [--max-tokens 192] [--rounds 1]

``jobs/evaluate.py``'s own loop (a replica, grading, answers written down), and the same requests put to AsyncLLM with
the same arguments, as vLLM starts it by itself. Both are up at the same time and take turns, after a warm-up on the
first set; the medians are compared.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from contextlib import redirect_stdout
from pathlib import Path

from raysgpo.config.overrides import resolve
from raysgpo.evaluation.answers import read_answers, wanted
from raysgpo.evaluation.catalogue import chosen_sets
from raysgpo.evaluation.evaluating import Evaluating
from raysgpo.evaluation.folder import EvaluationFolder
from raysgpo.evaluation.plan import Plan, PlannedSet, labelled
from raysgpo.evaluation.questions import load_set
from raysgpo.evaluation.replicas import IN_FLIGHT, ReplicaAnswers
from raysgpo.groups.retrying_sampler import RetryingSampler
from raysgpo.serving.engine import VllmEngine
from raysgpo.serving.sampler import serve_sampler
from raysgpo.session.names import RunNames
from raysgpo.session.ray_session import ray_session
from raysgpo.session.running_rollout import running_rollout
from raysgpo.start.evaluated_policy import EvaluatedPolicy, evaluated_policy
from raysgpo.tasks.question_set import QuestionSet
from raysgpo.weights.transport import NOTHING_PUBLISHED
from tests.bench.bare_engine import bare_engine

SETS = ("gsm8k", "math500", "minerva")


def new_evaluation(sets: list[QuestionSet], model: str, seed: int) -> Evaluating:
    """In a folder of its own; another seed, other answers."""
    plan = Plan(models=labelled([model], ["m"]), sets=tuple(map(PlannedSet.of, sets)), seed=seed)
    folder = EvaluationFolder.create(Path(tempfile.mkdtemp()), "bench", plan)
    return Evaluating(plan, sets, folder, lambda line: None)


async def evaluated(evaluating: Evaluating, answers: ReplicaAnswers) -> int:
    await evaluating.ask(evaluating.plan.models[0], answers, IN_FLIGHT)
    return sum(row.tokens for row in read_answers(evaluating.folder.answers).values())


async def bare(engine: VllmEngine, evaluating: Evaluating, answers: ReplicaAnswers) -> int:
    """As many at a time as the engine is asked for in an evaluation."""
    rest = enumerate(wanted(evaluating.sets, evaluating.plan.seed))

    async def worker() -> int:
        tokens = 0
        for place, question in rest:
            completion = await engine.sample(answers.request(question), question.seed, f"bare-{place}")
            tokens += len(completion.token_ids_T)
        return tokens

    return sum(await asyncio.gather(*(worker() for _ in range(IN_FLIGHT))))


async def compare(policy: EvaluatedPolicy, sets: list[QuestionSet], sample: RetryingSampler, rounds: int) -> None:
    rollout, model = policy.config.rollout, policy.config.model
    assert rollout.max_model_len is not None, "the engine is sized"
    answers = ReplicaAnswers(sample, policy.sets, rollout.max_model_len, NOTHING_PUBLISHED)
    engine = await bare_engine(model, rollout)
    rates: dict[str, list[float]] = {"evaluation": [], "bare": []}
    for seed in range(rounds + 1):
        evaluating = new_evaluation(sets if seed else sets[:1], model, seed)
        for name, work in (("evaluation", evaluated(evaluating, answers)), ("bare", bare(engine, evaluating, answers))):
            start = time.perf_counter()
            tokens = await work
            if seed:
                rates[name].append(tokens / (time.perf_counter() - start))
    engine.shutdown()
    both = {name: statistics.median(some) for name, some in rates.items()}
    ratio = statistics.median(a / b for a, b in zip(rates["evaluation"], rates["bare"], strict=True))
    print(f"{sum(len(one.problems) for one in sets)} answers to {', '.join(one.name for one in sets)}")
    print(f"evaluation {both['evaluation']:,.0f} tokens/s   bare vLLM {both['bare']:,.0f} tokens/s   ratio {ratio:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--limit", type=int, default=12, help="questions of each set")
    parser.add_argument("--max-tokens", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    drawn = {"limit": arguments.limit, "max_tokens": arguments.max_tokens, "temperature": 0.6}
    sets = [load_set(one) for one in chosen_sets(SETS, {"": drawn})]
    policy = evaluated_policy(resolve({"model": arguments.model}), sets, print)
    names, out = RunNames("bench"), sys.stdout
    with (
        ray_session(),
        redirect_stdout(out),
        running_rollout(policy.config, names, policy.config.model, print) as service,
    ):
        sample = RetryingSampler(serve_sampler(service), policy.config.rollout)
        asyncio.run(compare(policy, sets, sample, arguments.rounds))


if __name__ == "__main__":
    main()
