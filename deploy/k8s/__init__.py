"""Manifests for Kubernetes, and what writes the generated ones."""
