"""E-mail by a worker of its own: over a real socket, tried again after a refusal, nothing personal in its log."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client

from connections_portal.management.commands.portal_worker import WORKER
from connections_portal.models import User
from tests.runs.helpers import until
from tests.runs.processes import Processes
from tests.smtp import mail_server

REASON = "The agency needs the loyalty segment for the autumn mailing."


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_a_worker_sends_it(
    environment: dict[str, str],
    process: Processes,
    admin: User,
    outsider: User,
    client_of: Callable[[User | None], Client],
    tmp_path: Path,
) -> None:
    User.objects.filter(pk=admin.pk).update(email="lena@example.com")
    with mail_server() as box:
        environment |= {
            "EMAIL_URL": box.url,
            "EMAIL_FROM": "Portal <portal@example.com>",
            "PORTAL_URL": "https://portal.example.com/",
            "MAIL_RETRY_SECONDS": "0",
        }
        box.refuse["RCPT"] = ("451 lena@example.com: later", 2)
        answer = client_of(outsider).post("/data/requests/new/", {"type": "sftp", "reason": REASON})
        assert answer.status_code == 303
        process(*WORKER)
        until(lambda: bool(box.messages))
    [message] = box.messages
    assert box.asked == 3
    assert message["From"] == "Portal <portal@example.com>"
    assert message["To"] == "lena@example.com"
    assert message["Subject"] == "Ben Okafor asks for a connection: SFTP"
    assert "https://portal.example.com/settings/connections/requests/" in message.get_content()
    log = (tmp_path / "process-0.log").read_text()
    assert "failed at attempt 2 of 5: SMTPRecipientsRefused 451" in log
    for personal in ("lena@", "Okafor", "agency"):
        assert personal not in log
