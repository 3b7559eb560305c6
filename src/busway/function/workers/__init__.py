"""What runs a function: the pool, its worker processes, how they are kept apart, and what is said to them."""
