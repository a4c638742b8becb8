"""ArrivalService: Processor lets the mail that arrives be classified here."""

from typing import TYPE_CHECKING, Any

import grpc
from typing_extensions import override

from mailmesh.primitives.v1 import arrival_service_pb2 as pb2
from mailmesh.primitives.v1.arrival_service_pb2_grpc import ArrivalServiceServicer as Base
from services.meshkit.ids import check_id
from services.message.labels import size_of
from services.primitives.servicers.classifying import Classifier
from services.primitives.servicers.label_checks import check_classify

if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Any, Any]


class ArrivalServicer(Base):
    """Answers ArrivalService.

    Args:
        classifier: Classifies texts.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    @override
    async def ClassifyArrival(
        self, request: pb2.ClassifyArrivalRequest, context: "Context"
    ) -> pb2.ClassifyArrivalResponse:
        """Classify a mail's text for a tenant. The examples, which are the same for each mail, cost nothing."""
        tenant_id = check_id("tenant_id", request.tenant_id)
        cost = check_classify(request.request) - size_of(request.request.labels)
        answer = await self._classifier.classify(request.request, cost, tenant_id=tenant_id)
        return pb2.ClassifyArrivalResponse(answer=answer)
