"""A seeded lake of about 6,000 instruction rows in English and Chinese, with planted and labelled faults."""

from examples.demo_lake.faults import FAULT_KINDS, Fault, RowRef, planted_in_release, read_faults

__all__ = ["FAULT_KINDS", "Fault", "RowRef", "planted_in_release", "read_faults"]
