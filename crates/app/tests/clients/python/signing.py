"""HTTP Message Signatures (RFC 9421): `signing.py DIRECTORY` makes keys there, with an address behind it sends requests.
"""

import datetime
import http.client
import pathlib
import secrets
import sys

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding, NoEncryption, PrivateFormat, PublicFormat, load_pem_private_key,
)
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

DIRECTORY = pathlib.Path(sys.argv[1])
ALGORITHMS = dict(
    hmac=algorithms.HMAC_SHA256,
    ed25519=algorithms.ED25519,
    ecdsa=algorithms.ECDSA_P256_SHA256,
    pss=algorithms.RSA_PSS_SHA512,
    pkcs=algorithms.RSA_V1_5_SHA256,
)
NOW = datetime.datetime.now(datetime.timezone.utc)
USUAL = ("@method", "@target-uri")


def make_keys():
    (DIRECTORY / "hmac.key").write_text(secrets.token_urlsafe(40))
    for name, key in dict(
        ed25519=ed25519.Ed25519PrivateKey.generate(),
        ecdsa=ec.generate_private_key(ec.SECP256R1()),
        rsa=rsa.generate_private_key(65537, 2048),
    ).items():
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (DIRECTORY / f"{name}.private").write_bytes(private)
        (DIRECTORY / f"{name}.pem").write_bytes(public)


def private_keys():
    keys = {"hmac": (DIRECTORY / "hmac.key").read_bytes()}
    for name, file in dict(ed25519="ed25519", ecdsa="ecdsa", pss="rsa", pkcs="rsa").items():
        keys[name] = load_pem_private_key((DIRECTORY / f"{file}.private").read_bytes(), None)
    return keys


class Message:
    """A request as the signer looks at it."""

    def __init__(self, method, path, fields=None):
        self.method, self.path, self.headers = method, path, dict(fields or {})
        self.url = f"http://{ADDRESS}{path}"

    def sign(self, name, key=None, covered=USUAL, **more):
        private = key or KEYS[name]
        resolver = MappingKeyResolver(public_keys={}, private_keys={more.get("key_id", name): private})
        signer = HTTPMessageSigner(signature_algorithm=ALGORITHMS[name], key_resolver=resolver)
        signer.sign(self, **(dict(key_id=name, covered_component_ids=covered) | more))
        return self

    def send(self, status, body=None):
        connection = http.client.HTTPConnection(ADDRESS, timeout=20)
        connection.request(self.method, self.path, body=body, headers=self.headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        assert answer.status == status, (answer.status, self.headers, text)
        if status != 200:
            # What is wrong with it is told to nobody who could learn from it.
            assert "signature" not in text.lower() and "WWW-Authenticate" not in answer.headers, text
        connection.close()
        return text


def seconds(number):
    return NOW + datetime.timedelta(seconds=number)


def good():
    for name in ALGORITHMS:
        text = Message("GET", "/orders?a=b&c=%20d").sign(name).send(200)
        assert f"x-consumer=alice\nx-subject={name}" in text, text
        body = b"%d bytes" % secrets.randbits(64)
        Message("POST", "/orders").sign(name, body=body).send(200, body)
    # All that this implementation can cover and Tollgate knows.
    covered = (*USUAL, "@authority", "@scheme", "@request-target", "@path", "@query", "x-one", "content-type")
    fields = {"X-One": "  a,  b ", "Content-Type": "text/plain"}
    message = Message("GET", "/orders?a=b", fields)
    message.sign("ecdsa", covered=covered, expires=seconds(60), tag="app", include_alg=False).send(200)
    # The digest of nothing.
    Message("POST", "/orders").sign("ed25519", body=b"").send(200, b"")
    # Two signatures, of which one label counts.
    message = Message("GET", "/once/two")
    message.sign("ed25519", covered=("@method", "@path"), label="own", nonce=secrets.token_hex())
    message.sign("hmac", label="proxy", nonce=secrets.token_hex(), append_if_signature_exists=True).send(200)


def wrong():
    Message("GET", "/orders").send(401)
    message = Message("GET", "/orders").sign("ecdsa")
    message.method = "DELETE"
    message.send(401)
    message = Message("GET", "/orders?a=b").sign("hmac")
    message.path = "/orders?a=c"
    message.send(401)
    stranger = ed25519.Ed25519PrivateKey.generate()
    Message("GET", "/orders").sign("ed25519", key=stranger).send(401)
    Message("GET", "/orders").sign("ed25519", key_id="nobody").send(401)


def incomplete():
    Message("GET", "/orders").sign("ed25519", covered=("@method",)).send(401)
    Message("GET", "/orders").sign("ed25519", covered=("@method", "@path")).send(401)
    # A body that the signature says nothing about.
    Message("POST", "/orders").sign("ed25519").send(401, b"body")
    # Without a nonce, where there has to be one.
    Message("GET", "/once").sign("ed25519", covered=("@method", "@path"), label="own").send(401)


def other_body():
    message = Message("POST", "/orders").sign("ed25519", body=b"one body")
    message.send(400, b"two body")


def old():
    Message("GET", "/orders").sign("ed25519", created=seconds(-400)).send(401)
    Message("GET", "/orders").sign("ed25519", created=seconds(300)).send(401)
    Message("GET", "/orders").sign("ed25519", created=seconds(-200), expires=seconds(-100)).send(401)


def replayed():
    message = Message("GET", "/orders").sign("ecdsa", nonce=secrets.token_hex())
    message.send(200)
    message.send(401)
    message = Message("GET", "/once").sign("pss", covered=("@method", "@path"), label="own", nonce="n-1")
    message.send(200)
    message.send(401)
    # The same nonce of another key is another one.
    Message("GET", "/once").sign("pkcs", covered=("@method", "@path"), label="own", nonce="n-1").send(200)


if len(sys.argv) == 2:
    make_keys()
else:
    ADDRESS, KEYS = sys.argv[2], private_keys()
    for case in (good, wrong, incomplete, other_body, old, replayed):
        case()
        print(f"ok {case.__name__}")
    print("all is well")
