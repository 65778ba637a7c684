"""What scripts/record records: a file for each client, tables of shapes, and the recorder they are driven against.

Clients are imported in the functions that need them, since no environment has them all.
"""
