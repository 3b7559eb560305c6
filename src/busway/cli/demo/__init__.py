"""`busway demo`: the README's story, played with real parts and checked at every step."""
