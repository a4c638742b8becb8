"""Runs the test suite: every test, a second try for the few that failed, and nothing left behind."""
