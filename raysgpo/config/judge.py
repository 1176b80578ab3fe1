"""Settings of the judge."""

from __future__ import annotations

from typing import Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field

from raysgpo.config.cluster import LabelSelector
from raysgpo.config.deadlines import SHORTEST, answer_deadline
from raysgpo.config.engine_parts import has_process
from raysgpo.config.replica_bounds import ReplicaBounds
from raysgpo.config.section import Section

SpoiledAs = Literal["random", "early", "late", "none_found"]
CPU_ANSWER, GPU_ANSWER = 2048, 32_768
"""Tokens of an answer of replicas that room is kept for where ``judge.max_tokens`` does not say."""


class JudgeConfig(Section):
    """Who names the first wrong step of the answers of an all-negative group."""

    presets: ClassVar = {
        "none": {"kind": "none"},
        "rule": {"kind": "rule"},
        "tiny": {"kind": "replicas", "model": "tiny", "prompt": "compact", "concurrency": 256},
        "replicas": {"kind": "replicas", "prompt": "verify", "concurrency": 64},
        "endpoint": {"kind": "endpoint", "prompt": "verify", "concurrency": 64},
    }

    kind: Literal["none", "rule", "replicas", "endpoint"] = "rule"
    """``rule`` checks each step by the task's own rule; ``replicas`` serves ``judge.model`` on the cluster;
    ``endpoint`` asks the OpenAI-compatible server at ``judge.base_url``."""
    model: str | None = None
    """endpoint: the model's name there; replicas: a Hugging Face checkpoint, or ``tiny``, the embedded judge."""
    prompt: Literal["verify", "compact"] = "verify"
    """``verify`` instructs a general model; ``compact`` is the table of the embedded judge."""
    base_url: str | None = None
    """endpoint: such as https://api.openai.com/v1 or http://10.0.0.5:8000/v1."""
    api_key_env: str | None = "OPENAI_API_KEY"
    """endpoint: the environment variable that holds the key; null for a server that wants none."""
    required: bool = True
    """Whether a judge that does not answer at the start ends the run; else its votes are lost and counted."""
    epochs: float = Field(3.0, ge=0)
    """Judge during the first this many epochs [paper: 3 of 12]; later groups keep plain rewards."""
    steps: int | None = Field(None, ge=0)
    """Judge during the first this many optimizer steps, whatever ``judge.epochs`` says."""
    votes: int = Field(1, ge=1)
    """Independent judgements a response; the majority decides the position of the first error."""
    deadline: float | None = Field(None, gt=0)
    """Seconds for one judgement, retries included, from when it is put: waiting for ``judge.concurrency`` costs none
    of them, and they begin anew with each vote of the judge on anything, up to ten times as many. A vote that comes
    later is lost and counted. None: twice ``judge.call_deadline``, 600 at least."""
    call_deadline: float | None = Field(None, gt=0)
    """Seconds for one call, which begin anew with each answer of its server to another, up to ten times as many; past
    them the call is tried again, while ``judge.deadline`` allows. None: 0.1 for each token of the longest answer
    (``judge.max_tokens``, or what replicas keep room for), 0.5 on CPUs, 300 at least."""
    retries: int = Field(4, ge=0)
    """How often a call is sent again, with growing pauses, after 429, 5xx, a time-out or no connection."""
    concurrency: int = Field(64, ge=1)
    """Most calls in flight, over the whole run."""
    max_calls: int | None = Field(None, ge=0)
    """Budget of the run: no further group is judged once another could exceed this many calls."""
    max_run_tokens: int | None = Field(None, ge=0)
    """Budget of the run: no further group is judged once so many tokens, prompts included, were used."""
    max_tokens: int | None = Field(None, ge=1)
    """verify: longest answer of the judge, its reasoning included; None: as long as its model has room, for which
    replicas reserve 2,048 tokens on CPUs and 32,768 on GPUs. An answer that is cut off is a lost vote."""
    structured: bool = True
    """verify: ask for JSON by a schema; a server that refuses that is asked for text."""
    reference: Literal["solution", "outline", "answer"] = "solution"
    """What the judge is shown beside the problem: the row's solution, its field ``outline``, or the final answer
    alone; what a row does not have is replaced by the next."""
    temperature: float | None = Field(None, ge=0)
    """None: 0 for a single vote, 1 for several, which must be able to differ."""
    top_p: float | None = Field(None, gt=0, le=1)
    """None: the server's own."""
    reasoning_effort: Literal["minimal", "low", "medium", "high"] | None = None
    """For models that have it; None: the server's own."""
    chat_template_kwargs: dict[str, Any] = Field({})
    """verify: arguments of the judge's chat template, such as ``{enable_thinking: false}``; sent with each question, as
    vLLM and SGLang take them."""
    max_characters: int = Field(200_000, ge=1)
    """A response longer than this is not sent: its votes are lost and counted."""
    replicas: ReplicaBounds = (1, 1)
    """replicas: copies of the judge; of a pair, the fewest and the most, Ray Serve chooses between by load."""
    cpus: float = Field(0.25, ge=0)
    """replicas: CPUs that Ray reserves for one replica."""
    gpus: float = Field(0, ge=0)
    """replicas: GPUs that Ray reserves for one replica; of several, the model is split over them."""
    label_selector: LabelSelector = None
    """replicas: labels that their nodes must have; None: ``role=judge``, or else ``role=rollout``, where a node of the
    cluster has that."""
    threads: int | None = Field(None, ge=1)
    """replicas, CPU engine: threads of one replica; None: its share of the cores that are free while sampling."""
    max_model_len: int | None = Field(None, ge=2)
    """replicas: longest prompt plus answer, tokens; None: the longest question that the prompts and
    ``sampling.max_tokens`` allow and the judge's answer, within the model's own limit."""
    engine_process: bool | None = None
    """replicas: as ``rollout.engine_process``."""
    engine: dict[str, Any] = Field({})
    """replicas: further arguments of vLLM's engine, passed as they are. ``dtype`` on CPUs, if not said: bfloat16 for a
    real model where the CPU multiplies that by itself, else float32."""
    kv_cache_gib: float | None = Field(None, gt=0)
    """replicas, CPU engine: memory of the key-value cache of one replica, GiB; None: as ``rollout.kv_cache_gib``."""
    start_deadline: float | None = Field(None, gt=0)
    """Seconds for the judge to answer its first question at the start; None: 120 and 15 for each GiB of the weights of
    replicas, 300 at least."""
    spoiled: float = Field(0.0, ge=0, le=1)
    """rule, for studies: share of its verdicts that are spoiled, to see what a judge's errors cost; which ones follows
    from the problem and the response."""
    spoiled_as: SpoiledAs = "random"
    """rule: what a spoiled verdict names: any other step, one before or one after the first error, or no error. A first
    step has none before it and a last one none after: those verdicts stay right."""

    @property
    def core_process(self) -> bool:
        """``engine_process``, settled."""
        return has_process(self.engine_process, self.gpus, self.engine)

    @property
    def answer_tokens(self) -> int:
        """Tokens of an answer that replicas keep room for."""
        return self.max_tokens or (GPU_ANSWER if self.gpus else CPU_ANSWER)

    @property
    def call_seconds(self) -> float:
        """``call_deadline``, or what the longest answer asks for; an endpoint's is known by ``max_tokens`` alone."""
        served = self.kind == "replicas" and self.prompt == "verify"
        tokens = self.answer_tokens if served else self.max_tokens or 0
        return self.call_deadline or answer_deadline(tokens, on_cpu=self.kind == "replicas" and self.gpus == 0)

    @property
    def vote_seconds(self) -> float:
        """``deadline``, or time for two calls."""
        return self.deadline or max(2 * SHORTEST, 2 * self.call_seconds)

    @property
    def start_seconds(self) -> float:
        """``start_deadline``; the shortest while the model's size is not known."""
        return self.start_deadline or SHORTEST


def impossible_judge(judge: JudgeConfig) -> str | None:
    """What cannot work among the judge's settings. The URL is shown only where it can hold no password."""
    url = judge.base_url
    if judge.kind == "endpoint" and url is None:
        return "judge.kind=endpoint needs judge.base_url, such as https://api.openai.com/v1"
    if judge.kind in ("endpoint", "replicas") and not judge.model:
        what = "the name of a model that is served there" if judge.kind == "endpoint" else "a checkpoint, or tiny"
        return f"judge.kind={judge.kind} needs judge.model, {what}"
    if judge.spoiled and judge.kind != "rule":
        return (
            f"judge.spoiled={judge.spoiled:g}: the verdicts of judge=rule alone can be spoiled, for studies, and not "
            f"those of judge={judge.kind}: leave it out, or set judge=rule"
        )
    if judge.chat_template_kwargs and judge.prompt == "compact":
        return "judge.chat_template_kwargs: judge.prompt=compact has no chat template that could read it: leave it out"
    if url is not None and "@" in url:
        return (
            "judge.base_url holds credentials (user:password@), which config.yaml would keep: "
            "leave them out, and name the environment variable of the key in judge.api_key_env"
        )
    if url is not None and not _is_web_address(url):
        return f"judge.base_url={url}: start it with http:// or https:// and a host, as in http://10.0.0.5:8000/v1"
    return None


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, a bracket left open
        return False
