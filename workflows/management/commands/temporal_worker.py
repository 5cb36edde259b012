"""`manage.py temporal_worker`: one worker process of one queue."""

import asyncio
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from paid.lib.pulse import Pulse
from workflows.worker import QUEUES, run_worker


class Command(BaseCommand):
    help = (
        "Serve one Temporal queue: `control` runs workflows and delivers the outbox, `agents` runs agents on this "
        "host. Example: manage.py temporal_worker --queue agents --threads 8"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue", choices=QUEUES, required=True, help="which queue to serve")
        parser.add_argument(
            "--threads", type=int, default=8, help="how many activities at once; on `agents`, how many agents"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        asyncio.run(self._serve(options["queue"], options["threads"]))

    async def _serve(self, queue: str, threads: int) -> None:
        """SIGTERM and SIGINT leave in order: agents go on, and the next worker attaches to them."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        Pulse(queue).start()
        await run_worker(
            queue, threads=threads, stop=stop, ready=lambda: self.stdout.write(f"Worker of queue {queue} is ready.")
        )
