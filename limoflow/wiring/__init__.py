"""The one place where concrete services, models and transports are put together."""
