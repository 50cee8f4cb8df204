"""Notices to people: a run failed, a centre's submission was refused. Always to the log; to a webhook and by mail where these are configured.

``CAPLA_NOTICE_WEBHOOK``   address that takes a JSON object with ``title`` and ``text`` by POST
``CAPLA_NOTICE_MAIL``      address that gets a mail, through ``CAPLA_SMTP`` (host or host:port, default localhost)

A notice names runs, steps, centres, files, rows and columns; never a patient's value. What is worth a notice does not belong here.
"""

import json
import logging
import os
import smtplib
import urllib.request
from dataclasses import dataclass
from email.message import EmailMessage

TIMEOUT_SECONDS = 20
SENDER = "capla_etl@localhost"


@dataclass(frozen=True)
class Notice:
    """One notice: a title of one line, and lines of text."""

    title: str
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def send(notice: Notice, log: logging.Logger) -> list[str]:
    """Log a notice and send it wherever that is configured.

    Returns:
        Where it went besides the log.

    Raises:
        OSError: the webhook or the mail server cannot be reached or refuses it; the notice is in the log all the same.
    """
    log.warning("%s\n%s", notice.title, notice.text)
    sent = []
    if address := os.environ.get("CAPLA_NOTICE_WEBHOOK"):
        body = json.dumps({"title": notice.title, "text": f"{notice.title}\n{notice.text}"}).encode()
        request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS).close()
        sent.append("webhook")
    if recipient := os.environ.get("CAPLA_NOTICE_MAIL"):
        mail = EmailMessage()
        mail["Subject"], mail["From"], mail["To"] = notice.title, SENDER, recipient
        mail.set_content(notice.text)
        host, _, port = os.environ.get("CAPLA_SMTP", "localhost").partition(":")
        with smtplib.SMTP(host, int(port or 25), timeout=TIMEOUT_SECONDS) as server:
            server.send_message(mail)
        sent.append("mail")
    return sent
