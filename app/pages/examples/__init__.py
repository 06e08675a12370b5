"""Examples: what stands behind every number, a row a probe."""
