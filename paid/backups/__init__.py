"""Backups of the whole PostgreSQL cluster, and the way back to any moment since.

A backup is a base backup (every database of the instance, so Temporal's are of the same moment) with checksums and a
few figures; archived WAL carries it to any later moment. The keys that open stored secrets are not in it.
"""
