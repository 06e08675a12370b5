"""Where weights are, what they are, whether they may be read, and what a load really did. Without torch."""
