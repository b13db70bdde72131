"""Serving of one model version over the Open Inference Protocol, and the host of such processes."""
