"""Failures of Primitives that a caller can act on."""

from services.meshkit.errors import FailedPrecondition, InvalidArgument, ResourceExhausted


class ContentUnreadable(InvalidArgument):
    """The content could not be read within the bounds of one process."""

    reason = "CONTENT_UNREADABLE"


class DocumentFormatUnknown(InvalidArgument):
    """The bytes are in none of the formats that are read."""

    reason = "DOCUMENT_FORMAT_UNKNOWN"


class ReaderNotInstalled(FailedPrecondition):
    """The reader of this format is not installed: the operator installs the extra `mailmesh[primitives]`."""

    reason = "READER_NOT_INSTALLED"


class ModelNotInstalled(FailedPrecondition):
    """The local model is not installed: the operator installs the extra `mailmesh[primitives]`."""

    reason = "MODEL_NOT_INSTALLED"


class ModelBudgetSpent(ResourceExhausted):
    """This key has used its share of the model for now."""

    reason = "MODEL_BUDGET_SPENT"


class SchemaUnsupported(InvalidArgument):
    """The schema has a part that extraction does not support."""

    reason = "SCHEMA_UNSUPPORTED"
