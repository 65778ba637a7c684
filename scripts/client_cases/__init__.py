"""The cases of scripts/clients: a file for each library or server, and what they stand on."""
