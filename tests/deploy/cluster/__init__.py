"""A real one-node Kubernetes on this machine, and the scenario that runs on it (`make test-k8s`)."""
