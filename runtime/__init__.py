"""What every process does alike: settings, logs, lifecycle, errors on the wire, metrics."""
