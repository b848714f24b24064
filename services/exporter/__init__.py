"""The exporter: a release becomes a complete folder on disk."""
