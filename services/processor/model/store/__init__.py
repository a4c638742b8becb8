"""The statements of the named model."""
