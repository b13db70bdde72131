"""The edges: Open Inference Protocol scorers, protobuf answers."""
