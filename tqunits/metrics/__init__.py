"""What the router counts and how it tells it: numbers, and the texts made of them."""
