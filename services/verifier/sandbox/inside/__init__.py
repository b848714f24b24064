"""The half of the sandbox that runs inside the box; it imports nothing but the standard library and itself."""
