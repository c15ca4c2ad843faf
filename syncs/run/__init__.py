"""How a run goes: lease, pull, match, plan, apply, finish."""
