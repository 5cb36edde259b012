"""The sample project of the first five minutes: a small repository with a failing test, and its issue."""

from projects.sample.operations import open_sample_issue

__all__ = ["open_sample_issue"]
