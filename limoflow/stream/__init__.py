"""The stream runtime: the only place that knows Kafka."""
