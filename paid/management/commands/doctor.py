"""`manage.py doctor`: ask every dependency, and say how to mend what does not answer."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from paid.stack.doctor import examine


class Command(BaseCommand):
    help = (
        "Check everything that Paid depends on, probe the seal that agents run in, and say how to mend what fails. "
        "Exit code 1 when anything does. "
        "Example: manage.py doctor --json"
    )
    # Its own examination runs them, and reports them like the rest.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        findings = examine()
        is_well = all(finding.is_ok for finding in findings)
        if options["json"]:
            report = {"ok": is_well, "findings": [finding.as_dict() for finding in findings]}
            self.stdout.write(json.dumps(report, indent=2))
        else:
            for finding in findings:
                mark = self.style.SUCCESS("ok    ") if finding.is_ok else self.style.ERROR("FAILED")
                self.stdout.write(f"{mark}  {finding.name:<25} {finding.detail}")
                if finding.hint:
                    self.stdout.write(f"        {'':<25} → {finding.hint}")
        if not is_well:
            sys.exit(1)
