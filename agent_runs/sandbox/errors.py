class SandboxUnavailable(Exception):
    """This machine cannot make the sandbox, and Paid runs no agent without it."""


class ProgramMissing(SandboxUnavailable):
    """A program that runs in the sandbox is not installed on this host."""
