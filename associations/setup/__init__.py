"""The set-up file: read, checked against the connected systems, applied and exported.

`reading` and `environment` turn text into plain values, `parsing` those into `spec`
with every problem named, `checking` asks the connected systems, `applying` writes the
rows and `exporting` prints them again.
"""
