"""Failures of the named model that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, ResourceExhausted, Unavailable


class ModelNotConfigured(FailedPrecondition):
    """The operator has named no model in the settings of Processor."""

    reason = "MODEL_NOT_CONFIGURED"


class ModelNotEnabled(FailedPrecondition):
    """The settings of the tenant do not allow its texts to be sent to the model."""

    reason = "MODEL_NOT_ENABLED"


class ModelOutsideRefused(FailedPrecondition):
    """The settings of the tenant do not allow its texts to leave this machine, and the model is on another one."""

    reason = "MODEL_OUTSIDE_REFUSED"


class ModelTokensSpent(ResourceExhausted):
    """The call might spend more tokens than the tenant has left for today. Repeat it tomorrow."""

    reason = "MODEL_TOKENS_SPENT"


class ModelUnavailable(Unavailable):
    """The model's server gave no answer; the cause says why. Retry later."""

    reason = "MODEL_UNAVAILABLE"


class ModelAnswerInvalid(Unavailable):
    """The model's answers had not the form that was demanded, and nothing of them is used. Retry later."""

    reason = "MODEL_ANSWER_INVALID"
