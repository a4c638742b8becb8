"""Plumbing that any gRPC mesh needs: servers, channels, identity, errors, settings, stores, queues, logs.

It knows no service and no contract. What a contract says about access is read from the descriptors that a service
passes in.
"""
