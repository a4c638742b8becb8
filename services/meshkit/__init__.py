"""Plumbing that any gRPC mesh needs: servers, channels, identity, errors, settings, stores, queues, logs.

It knows no service and no contract. It reads the access rules of a contract from the descriptors that
a service passes in.
"""
