"""The sample project of the first five minutes: a small package with a bug, an issue about it, a test that fails."""

from projects.sample.create import create_sample_project, sample_issue

__all__ = ["create_sample_project", "sample_issue"]
