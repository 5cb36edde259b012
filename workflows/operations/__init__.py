from workflows.operations.budget import grant_budget, resume_run
from workflows.operations.demo import start_demo_run
from workflows.operations.requests import start_run_once
from workflows.operations.runs import retry_run, start_run, stop_run

__all__ = ["grant_budget", "resume_run", "retry_run", "start_demo_run", "start_run", "start_run_once", "stop_run"]
