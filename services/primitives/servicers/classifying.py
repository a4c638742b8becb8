"""Classify a mail's text for a caller or for a tenant, within the caller's or the tenant's share of the model."""

from hashlib import sha256

import structlog

from mailmesh.primitives.v1 import primitive_service_pb2 as pb2
from services.message.labels import UNKNOWN
from services.primitives.errors import ContentUnreadable
from services.primitives.sandbox.pool import Sandbox
from services.primitives.servicers.label_checks import is_closed
from services.primitives.servicers.reading import read_content
from services.primitives.texts.budget import ModelBudget

logger = structlog.get_logger(__name__)


class Classifier:
    """Classifies texts. Safe to call again: equal requests have equal answers, and each costs.

    Args:
        texts: The processes without rights that have the model.
        budget: The share of the model that each key and each tenant has.
    """

    def __init__(self, texts: Sandbox, budget: ModelBudget) -> None:
        self._texts, self._budget = texts, budget

    async def classify(
        self, request: pb2.ClassifyMessageRequest, cost: int, *, key_id: str = "", tenant_id: str = ""
    ) -> pb2.ClassifyMessageResponse:
        """Return the label of a text.

        Args:
            request: A request that was checked.
            cost: The characters that are spent.
            key_id: The API key whose share is spent; empty for a tenant's.
            tenant_id: The tenant whose share is spent; empty for a key's.

        Raises:
            ModelBudgetSpent: The share is spent; the failure says when a retry makes sense.
            ContentUnreadable: The process that read the text did not answer as it should.
            ModelNotInstalled: The extra that classifies is missing.
            Overloaded: No process became free in time.
        """
        self._budget.spend(f"key/{key_id}" if key_id else f"tenant/{tenant_id}", cost)
        content = request.SerializeToString(deterministic=True)
        answer = pb2.ClassifyMessageResponse.FromString(await read_content(self._texts, "classify", content))
        if not is_closed(request, answer):
            raise ContentUnreadable(metadata={"cause": "crashed"})
        logger.info(
            "message classified",
            key_id=key_id,
            tenant_id=tenant_id,
            model=answer.method,
            digest=sha256(content).hexdigest(),
            is_known=answer.label != UNKNOWN,
            margin=round(answer.margin, 4),
            characters=cost,
        )
        return answer
