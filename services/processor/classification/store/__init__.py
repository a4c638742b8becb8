"""The statements of classification on arrival."""
