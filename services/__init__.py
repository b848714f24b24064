"""The services: one folder each, which import none of the others."""
