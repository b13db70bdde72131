"""Feature stores behind `understudy.features.ports.FeatureStore`."""
