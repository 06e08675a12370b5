"""Weights of image models: every shape that training code saves them in, in the base's own names."""
