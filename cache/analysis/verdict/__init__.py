"""Did a model forget, and what did that cost: from numbers and stated thresholds to a verdict."""
