from tests.standins.github.fixtures import account, github, project, repository

__all__ = ["account", "github", "project", "repository"]
