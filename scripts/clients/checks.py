# SPDX-License-Identifier: Apache-2.0
"""What the checks of all clients share: a list of named checks, each run by itself, and how they are told."""
import json
import sys
import traceback
import urllib.request


class Server:
    """Of the command line: NAME.py BASE_URL MODEL_FOLDER, with the address as `shoal serve` prints it."""

    def __init__(self, arguments):
        self.base_url, self.folder = arguments[0].rstrip("/"), arguments[1]
        self.root = self.base_url.removesuffix("/v1")
        self.model = self.get("/v1/models")["data"][0]["id"]

    def get(self, path):
        with urllib.request.urlopen(self.root + path, timeout=30) as answer:
            text = answer.read().decode()
        return text if path == "/metrics" else json.loads(text)

    def post(self, path, body):
        request = urllib.request.Request(self.root + path, json.dumps(body).encode(),
                                         {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def metric(self, name):
        """The sum over its labels."""
        return sum(float(line.split()[-1]) for line in self.get("/metrics").splitlines()
                   if line.startswith(name + "{"))

    def has_embeddings(self):
        return "embedding" in self.post("/api/show", {"model": self.model})["capabilities"]


CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def same(got, expected):
    assert got == expected, f"{got!r} instead of {expected!r}"


def main(versions):
    """A line of JSON for each check: what, and how it failed or null. `versions` names the packages."""
    from importlib.metadata import version

    server = Server(sys.argv[1:3])
    print(json.dumps({"versions": [f"{name} {version(name)}" for name in versions]}))
    for function in CHECKS:
        try:
            function(server)
            failure = None
        except BaseException as error:  # a client may raise what it likes
            traceback.print_exc()
            failure = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps({"check": function.__doc__ or function.__name__, "failure": failure}), flush=True)
