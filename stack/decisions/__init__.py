"""Conclusions of the demo from counted facts. Pure."""
