"""A fault campaign: random people and faults by seed, and an oracle of what may stand.

`machine` is the ground it runs on (clock, network, threads, death), `bench` puts a world
there and empties it again; `people` and `reading` work in both systems, `harm` hurts runs,
`oracle` says what is legitimate, and `play` lets a seed run.
"""
