"""Adapters: what each agent CLI wants to be told, and what its output means. Standard library only."""
