"""The router's counters, and the texts that are made of them."""
