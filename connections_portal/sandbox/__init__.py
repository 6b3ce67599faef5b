"""An SFTP server on the loopback interface to try the portal with; not for anything else."""

from connections_portal.sandbox.server import Faults, SandboxServer

__all__ = ["Faults", "SandboxServer"]
