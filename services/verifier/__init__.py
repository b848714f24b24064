"""The verifier: what can be proved wrong about a sample is refused before a model looks at it."""
