"""What the demo concludes from counted facts. Pure."""
