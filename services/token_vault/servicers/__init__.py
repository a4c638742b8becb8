"""Protobuf in, protobuf out: each method calls one use case."""
