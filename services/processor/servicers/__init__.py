"""The RPCs of Processor: protobuf in, one use case, protobuf out."""
