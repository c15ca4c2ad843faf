"""How a run treats links: look up, plan, write, read back."""
