"""What runs on its own in a worker's unit, beside the worker: it imports nothing of ours but its neighbours here."""
