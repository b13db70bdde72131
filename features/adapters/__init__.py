"""Feature stores behind `features.ports.FeatureStore`."""
