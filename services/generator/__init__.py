"""The generator: originals pass, and strategies make children of them."""
