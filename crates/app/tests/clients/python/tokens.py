"""Keys and tokens by PyJWT and by joserfc: `tokens.py DIRECTORY` writes the public keys there, and prints the tokens.

A token's name says what it is: `good ALGORITHM MAKER`, or `bad REASON what is wrong`.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys
import time
import warnings

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc import jwk, jws
from joserfc import jwt as joserfc_jwt

# Of names that RFC 9864 would rather not have.
warnings.simplefilter("ignore")
DIRECTORY = pathlib.Path(sys.argv[1])
SECRET = b"an old secret of thirty-two bytes"
NOW = int(time.time())
CLAIMS = {
    "iss": "https://iss.example",
    "aud": ["other", "api"],
    "sub": "user-7",
    "iat": NOW,
    "nbf": NOW,
    "exp": NOW + 3600,
    "scope": "orders:read profile",
    "plan": {"name": "gold"},
    "name": "Zoë \U0001f600",
}

rsa_key = rsa.generate_private_key(65537, 2048)
KEYS = {
    "RS256": rsa_key,
    "RS512": rsa.generate_private_key(65537, 2048),
    "PS256": rsa.generate_private_key(65537, 3072),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
tokens = {}


def pem(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def by_pyjwt(algorithm, change={}, key=None, header={}):
    claims = {name: value for name, value in (CLAIMS | change).items() if value is not None}
    headers = {"kid": algorithm} | header
    return jwt.encode(claims, key or KEYS[algorithm], algorithm=algorithm, headers=headers)


published = []
for name, key in KEYS.items():
    (DIRECTORY / f"{name}.pem").write_bytes(pem(key))
    tokens[f"good {name} PyJWT"] = by_pyjwt(name)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    kind = {"R": jwk.RSAKey, "P": jwk.RSAKey, "E": jwk.OKPKey if name == "EdDSA" else jwk.ECKey}[name[0]]
    other = kind.import_key(private, {"kid": name, "alg": name, "use": "sig"})
    header = {"alg": name, "kid": name, "typ": "at+jwt"}
    registry = jws.JWSRegistry(algorithms=[name])
    tokens[f"good {name} joserfc"] = joserfc_jwt.encode(header, CLAIMS, other, registry=registry)
    published.append(other.as_dict(private=False))
tokens["good HS256 PyJWT"] = by_pyjwt("HS256", key=SECRET)
# A claim of `aud` may be one text.
tokens["good ES256 PyJWT, one audience"] = by_pyjwt("ES256", {"aud": "api"})
(DIRECTORY / "jwks.json").write_text(json.dumps({"keys": published}))

# Claims that are wrong.
tokens["bad token_expired"] = by_pyjwt("ES256", {"exp": NOW - 120})
tokens["bad token_not_yet_valid"] = by_pyjwt("ES256", {"nbf": NOW + 600})
tokens["bad token_issuer other"] = by_pyjwt("ES256", {"iss": "https://iss.example/"})
tokens["bad token_claims no issuer"] = by_pyjwt("ES256", {"iss": None})
tokens["bad token_audience"] = by_pyjwt("ES256", {"aud": ["API", "other"]})
tokens["bad token_claims no end"] = by_pyjwt("ES256", {"exp": None})

# Keys and algorithms that are wrong.
tokens["bad token_algorithm none"] = jwt.encode(CLAIMS, None, algorithm="none", headers={"kid": "ES256"})
tokens["bad token_signature by a stranger"] = by_pyjwt("ES256", key=ec.generate_private_key(ec.SECP256R1()))
tokens["bad token_key_unknown"] = by_pyjwt("ES256", header={"kid": "ES257"})
# The public key as the secret of an HMAC, which neither library would make.
signed = encode(json.dumps({"alg": "HS256", "kid": "RS256"}).encode()) + "." + encode(json.dumps(CLAIMS).encode())
mac = hmac.new(pem(rsa_key), signed.encode(), hashlib.sha256).digest()
tokens["bad token_algorithm confusion"] = f"{signed}.{encode(mac)}"
# Right for this key, but not the algorithm that it is for.
tokens["bad token_algorithm other"] = by_pyjwt("RS512", key=rsa_key, header={"kid": "RS256"})

# Texts that are wrong.
good = tokens["good ES256 PyJWT"].split(".")
changed = encode(json.dumps(CLAIMS | {"sub": "admin"}).encode())
tokens["bad token_signature of other claims"] = ".".join([good[0], changed, good[2]])
tokens["bad token_malformed no signature"] = ".".join(good[:2])
tokens["bad token_malformed five parts"] = ".".join(good + good[:2])
print(json.dumps(tokens))
