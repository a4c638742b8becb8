"""The door of agents: tools of the Model Context Protocol, made from the contract.

The door calls the edge with the caller's key. It holds no credential and no database, and no service accepts its
identity: a tool can do the same as the caller's key, and no more.
"""
