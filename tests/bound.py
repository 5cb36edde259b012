"""`python -m tests.bound PARENT SCRIPT ARGUMENT…`: runs the script, and is killed with the process that started it.

A test that is killed stops nobody, and its programs are in sessions of their own.
"""

import ctypes
import os
import runpy
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, sys.argv = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        sys.exit("Whoever started this has ended already.")
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
