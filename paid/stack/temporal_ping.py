"""`python -m paid.stack.temporal_ping ADDRESS NAMESPACE`: exit code 0 when a Temporal server knows the namespace.

A process of its own: the threads of Temporal's client go on after an answer, also after none, and abort an interpreter
that is being taken apart meanwhile (temporalio/sdk-python issue 300). This one ends without being taken apart.
"""

import asyncio
import os
import sys

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

CLIENT_SECONDS = 5


async def ping(address: str, namespace: str) -> None:
    async with asyncio.timeout(CLIENT_SECONDS):
        client = await Client.connect(address, namespace=namespace)
        await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))


def main(address: str, namespace: str) -> int:
    try:
        asyncio.run(ping(address, namespace))
    except TimeoutError:
        sys.stderr.write(f"no answer within {CLIENT_SECONDS} s")
    except (RPCError, RuntimeError, OSError) as error:
        sys.stderr.write(str(error))
    else:
        return 0
    sys.stderr.flush()
    return 1


if __name__ == "__main__":
    os._exit(main(*sys.argv[1:]))
