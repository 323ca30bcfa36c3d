"""Asks a server or a worker whether it is ready: `ready.py [URL [CA.pem]]`, by default this container's server.

With `--live` only whether it lives, as one that stands by does. Exits with 0 if so, else with 1, and says why.
"""

import http.client
import ssl
import sys
import urllib.parse


def ask(url: str, page: str, context: ssl.SSLContext) -> tuple[int, str]:
    """The status of a page, and what it says."""
    address = urllib.parse.urlsplit(url)
    host, port = address.hostname or "", address.port
    connection = (
        http.client.HTTPSConnection(host, port, timeout=4, context=context)
        if address.scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=4)
    )
    try:
        connection.request("GET", page)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


def main(arguments: list[str]) -> int:
    """Asks, says, and gives the exit code."""
    page = "/livez" if "--live" in arguments else "/readyz"
    url, *authority = [each for each in arguments if each != "--live"] or [""]
    context = ssl.create_default_context(cafile=authority[0] if authority else None)
    if not url:
        # This container's own loopback: nobody stands between, and the certificate is for another name.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for each in [url] if url else ["https://127.0.0.1:7441", "http://127.0.0.1:7441"]:
        try:
            status, said = ask(each, page, context)
        except (OSError, http.client.HTTPException) as error:
            sys.stderr.write(f"{each}: {error}\n")
            continue
        sys.stderr.write(f"{each}{page}: {status} {said}\n")
        return 0 if status == 200 else 1
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
