"""Examples: the evidence behind every number, one row per probe."""
