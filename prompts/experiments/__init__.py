"""Experiments on prompts: what is compared, who takes part, and how it is decided. Their results are in metrics."""
