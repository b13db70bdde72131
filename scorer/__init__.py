"""Serve one model version over the Open Inference Protocol; host such processes."""
