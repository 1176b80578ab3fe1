"""CoRPO's table (arXiv 2511.04439): three baselines of the verifier."""

from __future__ import annotations

from raysgpo.studies.sweeps.sweep import Sweep

SWEEPS = {
    "corpo_table_1": Sweep(
        "corpo_qwen3_8b",
        {"GRPO": "algorithm=grpo", "Static (b_static)": "algorithm=static", "CoRPO (b_corpo)": ""},
    ),
}
