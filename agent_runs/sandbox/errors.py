class SandboxUnavailable(Exception):
    """This machine cannot make the sandbox, and Paid runs no agent without it."""
