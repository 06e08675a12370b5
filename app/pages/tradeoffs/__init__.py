"""Trade-offs: forgetting against utility, over all runs."""
