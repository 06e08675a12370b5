"""From evidence to numbers: values a probe, scoreboard, statistics, frontier. No weights, no models."""
