"""SGPO's tables (arXiv 2505.11595): judges, with and without beta and gamma, votes of four.

The judges' names are those under which one gateway serves them all: ``judge.base_url=URL``. What the paper calls
without beta and gamma is taken to be the RTS itself. Table 1 is offline (``jobs/offline.py``), table 5 an evaluation.
"""

from __future__ import annotations

from raysgpo.studies.sweeps.sweep import Sweep

GRPO = "algorithm=grpo"
O4_MINI, DEEPSEEK_V3, CLAUDE = "judge.model=o4-mini", "judge.model=deepseek-v3-0324", "judge.model=claude-3.7-sonnet"
QWEN3, QWQ = "judge.model=qwen3-235b-a22b", "judge.model=qwq-32b"
RAW = "algorithm.partial_credit=raw"

SWEEPS = {
    "sgpo_table_2": Sweep(
        "sgpo_7b",
        {
            "GRPO": GRPO,
            "SGPO+o4-MINI-0416": O4_MINI,
            "SGPO+DEEPSEEK-V3-0324": DEEPSEEK_V3,
            "SGPO+QWEN3-235B-A22B": QWEN3,
            "SGPO+QwQ-32B": QWQ,
            "SGPO+QwQ-32B w/o {beta, gamma}": f"{QWQ} {RAW}",
        },
    ),
    "sgpo_table_2_llama_8b": Sweep("sgpo_llama_8b", {"GRPO": GRPO, "SGPO+CLAUDE-3.7": CLAUDE}),
    "sgpo_table_2_14b": Sweep("sgpo_14b", {"GRPO": GRPO, "SGPO+o4-MINI-0416": O4_MINI}),
    "sgpo_table_2_32b": Sweep("sgpo_32b", {"GRPO": GRPO, "SGPO+o4-MINI-0416": O4_MINI}),
    "sgpo_table_2_qwq": Sweep(
        "sgpo_32b", {"GRPO": GRPO, "SGPO+DEEPSEEK-V3-0324": DEEPSEEK_V3}, words="model=Qwen/QwQ-32B"
    ),
    "sgpo_table_3": Sweep(
        "sgpo_7b",
        {"+Qwen3-235B-A22B": QWEN3, "+QwQ-32B": QWQ, "+QwQ-32B w/o {beta, gamma}": f"{QWQ} {RAW}"},
        seeds="0,1,2,3",
    ),
    "sgpo_table_4": Sweep(
        "sgpo_7b", {"+QwQ-32B": QWQ, "+QwQ-32B with voting": f"{QWQ} judge.votes=4"}, seeds="0,1,2,3"
    ),
}
