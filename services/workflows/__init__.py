"""Workflows: LangGraph graphs of the operator's packages, one run for each event.

Runs survive the end of any process. They hold no token and no right of their own: a step acts through the edge, with
an API key that the operator gives to Workflows, and each action is a command with a key derived from the run.
"""
