"""G2RPO-A's tables (arXiv 2508.13023): alpha, length, schedules, the order of the prompts.

Those of several models have the recipe of 1.7B; another is named before: ``g2rpo_a_0_6b --sweep g2rpo_a_table_9``. Its
SFT rows are of ``jobs/sft.py``.
"""

from __future__ import annotations

from raysgpo.studies.sweeps.sweep import Sweep

GRPO, WHOLE = "guidance=none", ""
ONE_EPOCH = "epochs=1"
LENGTHS = (50, 100, 200, 500)
RATIOS = {"1/6": 0.1667, "3/6": 0.5, "5/6": 0.8333, "1": 1}
DECAYED = ((50, "5/6"), (100, "1/6"), (200, "5/6"), (200, "1/6"), (500, "1/6"))
"""Lengths with the ratios of which table 2 has rows."""
SHARES = {
    "alpha=0": GRPO,
    "alpha=1/4": "guidance.ratio=0.25",
    "alpha=2/4": "guidance.ratio=0.5",
    "alpha=3/4": "guidance.ratio=0.75",
    "alpha=1": "guidance.ratio=1",
}
FIXED = {
    "GRPO": GRPO,
    "Fixed 3072": "guidance=guided guidance.length=3072",
    "Fixed 2048": "guidance=guided guidance.length=2048",
    "Fixed 1024": "guidance=guided guidance.length=1024",
    "RDP": "guidance=rdp",
    "G2RPO-A": WHOLE,
}

SWEEPS = {
    "g2rpo_a_table_1": Sweep(
        "g2rpo_a_qwen_math_7b",
        {
            "GRPO": GRPO,
            **{
                f"l={length}, alpha={name}": f"guidance.length={length} guidance.ratio={ratio}"
                for length in LENGTHS
                for name, ratio in RATIOS.items()
            },
        },
    ),
    "g2rpo_a_table_2": Sweep(
        "g2rpo_a_qwen_math_7b",
        {
            "GRPO": GRPO,
            **{
                f"l={length}, alpha={name}, {schedule}": (
                    f"guidance.schedule={schedule} guidance.length={length} guidance.ratio={RATIOS[name]}"
                )
                for length, name in DECAYED
                for schedule in ("concave", "linear", "stepwise")
            },
        },
    ),
    "g2rpo_a_table_3": Sweep("g2rpo_a_1_7b", {"GRPO": GRPO, "G2RPO-A": WHOLE}),
    "g2rpo_a_table_4": Sweep("g2rpo_a_1_7b", {"GRPO": GRPO, "G2RPO-A": WHOLE}, words="model=Qwen/Qwen3-1.7B"),
    "g2rpo_a_table_5": Sweep("g2rpo_a_code", {"GRPO": GRPO, "G2RPO-A": WHOLE}),
    "g2rpo_a_table_6": Sweep(
        "g2rpo_a_1_7b",
        {
            "random / GRPO": f"curriculum=random {GRPO}",
            "random / G2RPO-A": "curriculum=random",
            "curriculum / GRPO": GRPO,
            "curriculum / G2RPO-A": WHOLE,
        },
        words=ONE_EPOCH,
    ),
    "g2rpo_a_table_7": Sweep(
        "g2rpo_a_1_7b",
        {
            "Original": WHOLE,
            "Remove": "curriculum.remove_above=amc_aime",
            "Replace": "curriculum.replace_above=amc_aime",
        },
        words=ONE_EPOCH,
    ),
    "g2rpo_a_table_8": Sweep("g2rpo_a_code", SHARES, words=ONE_EPOCH),
    "g2rpo_a_table_9": Sweep("g2rpo_a_1_7b", SHARES, words=ONE_EPOCH),
    "g2rpo_a_table_10": Sweep("g2rpo_a_1_7b", FIXED, words=ONE_EPOCH),
    "g2rpo_a_table_11": Sweep("g2rpo_a_code", FIXED, words=ONE_EPOCH),
}
