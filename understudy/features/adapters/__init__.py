"""Feature stores that implement `understudy.features.ports.FeatureStore`."""
