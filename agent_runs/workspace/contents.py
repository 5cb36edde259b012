"""What is in a commit, before it is laid out: how much, and what an agent will not find in its files."""

from pathlib import Path, PurePosixPath

from agent_runs.workspace.difference import first_bytes
from agent_runs.workspace.errors import RepositoryTooLarge
from paid.lib.git import git

_LISTING_BYTES = 64 * 1024 * 1024
_ATTRIBUTE_FILES = 50
_SUBMODULE = "commit"


def look_into(cache_dir: Path, sha: str, limit_bytes: int) -> tuple[str, ...]:
    """Remarks for people about what the work tree will lack. Raises RepositoryTooLarge.

    A few kilobytes can unpack to any size, so the files are counted before they are written.
    """
    listing, is_cut = first_bytes(str(cache_dir), ["ls-tree", "-r", "-l", "-z", "--full-tree", sha], _LISTING_BYTES)
    total_bytes = submodules = 0
    attribute_files: list[str] = []
    for entry in filter(None, listing.split(b"\0")):
        described, _, path = entry.partition(b"\t")
        _mode, kind, name, size = (described.decode().split() + ["-"] * 4)[:4]
        submodules += kind == _SUBMODULE
        total_bytes += int(size) if size.isdigit() else 0
        if PurePosixPath(path.decode(errors="replace")).name == ".gitattributes":
            attribute_files.append(name)
    if is_cut or total_bytes > limit_bytes:
        much = "more files than Paid lists" if is_cut else f"{total_bytes // 1024**2} MiB of files"
        raise RepositoryTooLarge(
            f"The branch holds {much}; REPOSITORY_MAX_MEGABYTES allows {limit_bytes // 1024**2} MiB on this host. "
            "Raise it, or take a smaller repository."
        )
    return tuple(_remarks(cache_dir, submodules, attribute_files[:_ATTRIBUTE_FILES]))


def _remarks(cache_dir: Path, submodules: int, attribute_files: list[str]) -> list[str]:
    remarks = []
    if submodules:
        remarks.append(f"The repository has {submodules} submodule(s): their directories are empty for the agent.")
    if any(b"filter=lfs" in git(cache_dir, ["cat-file", "blob", name]) for name in attribute_files):
        remarks.append("The repository uses Git LFS: the agent finds pointers in place of those files.")
    return remarks
