"""A real mail server (aiosmtpd) for one test. Says on standard output what happens to it, one JSON object a line: its port
first. Ends when its standard input does."""

import asyncio
import json
import logging
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

options = json.loads(sys.argv[1])
# Clients that go away in the middle of a handshake are what the tests are about.
logging.disable(logging.CRITICAL)


def say(**what):
    print(json.dumps(what), flush=True)


class Watched(SMTP):
    """Tells every byte that came in the clear."""

    def data_received(self, data):
        if self.transport is None or self.transport.get_extra_info("sslcontext") is None:
            say(clear=data.decode("latin-1"))
        super().data_received(data)


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        say(
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            content=envelope.content.decode("ascii"),
            user=session.auth_data.login.decode() if session.auth_data else None,
            secure=session.ssl is not None or options["mode"] == "smtps",
        )
        return "250 2.0.0 Ok: queued as 12345"


def authenticate(server, session, envelope, mechanism, data):
    known = isinstance(data, LoginPassword) and data.login.decode() == options["user"]
    success = known and data.password.decode() == options["password"]
    say(login=data.login.decode(), mechanism=mechanism, success=success)
    return AuthResult(success=success, handled=False, auth_data=data)


def protocol():
    secured = options["mode"] == "starttls"
    return Watched(
        Mailbox(),
        hostname="mail.hospital.example",
        tls_context=context if secured else None,
        require_starttls=secured,
        auth_required=True,
        auth_require_tls=secured,
        authenticator=authenticate,
    )


async def serve():
    secured = context if options["mode"] == "smtps" else None
    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0, ssl=secured)
    say(port=server.sockets[0].getsockname()[1])
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(options["certificate"], options["key"])
asyncio.run(serve())
