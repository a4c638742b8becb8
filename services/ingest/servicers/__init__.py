"""The RPCs of Ingest: protobuf in, one use case, protobuf out."""
