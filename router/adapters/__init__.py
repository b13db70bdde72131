"""Adapters of the router: scorers over the Open Inference Protocol."""
