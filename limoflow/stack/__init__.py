"""The local stack: Kafka, Triton and the services as supervised processes on one machine."""
