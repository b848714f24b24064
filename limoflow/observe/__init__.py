"""What a service shows of itself: metrics, logs, health and progress."""
