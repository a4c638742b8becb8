"""gRPC services: protobuf in, protobuf out. Each method calls one use case."""
