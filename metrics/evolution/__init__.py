"""Improves a weak prompt: what is looked at, what a model proposes, what may be tried, and what came of it."""
