"""The statements of Workflows."""
