from workflows.operations.demo import start_demo_run
from workflows.operations.runs import retry_run, start_run, stop_run

__all__ = ["retry_run", "start_demo_run", "start_run", "stop_run"]
