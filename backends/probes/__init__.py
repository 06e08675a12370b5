"""Probe files of every kind into probes: what holds the rows, what each column became, what was left out."""
