"""The state of everything between a push and an event, for GetPipelineStatus."""
