"""A small mail server (RFC 5321): real sockets, every message kept, told to refuse what a test names."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mailbox:
    """What arrived at ``port``. ``refuse`` answers a command (``RCPT``, ``DATA``) with a line, so many times."""

    port: int = 0
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    refuse: dict[str, tuple[str, int]] = field(default_factory=dict)
    asked: int = 0

    @property
    def url(self) -> str:
        """EMAIL_URL."""
        return f"smtp://127.0.0.1:{self.port}"

    def refusal(self, command: str) -> str:
        """The line that refuses this command now; empty to go on."""
        line, times = self.refuse.get(command, ("", 0))
        if times:
            self.refuse[command] = (line, times - 1)
        return line if times else ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client, from greeting to QUIT."""
        self.asked += 1
        answer = "220 test"
        try:
            while answer:
                writer.write(f"{answer}\r\n".encode())
                await writer.drain()
                answer = await self._answer(reader, (await reader.readline()).decode().strip(), writer)
        finally:
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, line: str, writer: asyncio.StreamWriter) -> str:
        command = line[:4].upper()
        if not command:
            return ""
        if refused := self.refusal(command):
            return refused
        if command == "RCPT":
            self.recipients.append(line.partition("<")[2].rstrip(">"))
        if command == "DATA":
            writer.write(b"354 go on\r\n")
            raw = await reader.readuntil(b"\r\n.\r\n")
            text = raw[:-5].replace(b"\r\n..", b"\r\n.")
            self.messages.append(message_from_bytes(text, policy=policy.default))
        if command == "QUIT":
            writer.write(b"221 bye\r\n")
            return ""
        return "250 fine"


@contextmanager
def mail_server() -> Iterator[Mailbox]:
    """The server, in a thread of its own, for the length of the block."""
    box, ready, stop = Mailbox(), threading.Event(), threading.Event()

    async def run() -> None:
        server = await asyncio.start_server(box.serve, "127.0.0.1", 0)
        box.port = server.sockets[0].getsockname()[1]
        ready.set()
        await asyncio.to_thread(stop.wait)
        server.close()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        assert ready.wait(10)
        yield box
    finally:
        stop.set()
        thread.join(10)
