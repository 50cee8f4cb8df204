"""Send notices to people: always to the log; to a webhook and by mail where these are configured.

``CAPLA_NOTICE_WEBHOOK``   address that takes a JSON object with ``title`` and ``text`` by POST
``CAPLA_NOTICE_MAIL``      address that receives a mail through ``CAPLA_SMTP`` (host or host:port, default localhost)

A notice names runs, steps, centres, files, rows and columns, never a patient's value. What deserves one, and its
words, are in ``automation.py``.
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
    """A title of one line, and lines of text."""

    title: str
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def send(notice: Notice, log: logging.Logger) -> list[str]:
    """Log a notice and send it to whatever is configured.

    Returns:
        Where it went in addition to the log: ``webhook``, ``mail``.

    Raises:
        OSError: the webhook or mail server refuses it or is out of reach. The log has the notice all the same.
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
