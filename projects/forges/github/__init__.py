"""GitHub as a forge: REST over httpx, git over HTTP."""

from projects.forges.github.forge import GithubForge

__all__ = ["GithubForge"]
