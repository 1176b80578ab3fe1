"""The two-step bandit of SGPO, section 3.2: closed form, theorem, sampled groups, figure."""
