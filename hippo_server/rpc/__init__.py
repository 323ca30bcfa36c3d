"""The gRPC services: each call is parsed, handed to the driver, and its answer rendered."""
