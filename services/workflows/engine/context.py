"""The context of a step, beside its state: the edge, and keys for its commands."""

from dataclasses import dataclass
from uuid import UUID, uuid5

import grpc


@dataclass(frozen=True)
class Mesh:
    """The mesh, as a step sees it: `runtime.context` of LangGraph.

    Args:
        channel: The edge, with the API key of Workflows on every call. For the generated stubs of the contract.
        run_id: The run's UUID.
        workflow: The name of the workflow.
        tenant_id: The tenant of the event.
        event_id: The event that the run is for.
    """

    channel: grpc.aio.Channel
    run_id: str
    workflow: str
    tenant_id: str
    event_id: str

    def key(self, action: str) -> str:
        """Return the idempotency key of an action: the same one whenever the run repeats the step.

        It is made of the event and the workflow, which have one run. So it is the same, too, if a restored backup has
        lost the run and starts another one for the event.

        Args:
            action: A name that no other action of the workflow has. A step that acts several times gives each a name,
                such as "answer 2".
        """
        return str(uuid5(UUID(self.event_id), f"{self.workflow}\0{action}"))
