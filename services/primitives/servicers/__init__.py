"""Protobuf in, protobuf out."""
