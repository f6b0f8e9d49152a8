"""requests-oauth2client and PyJWT against a running broker: token exchange with DPoP, renewal,
introspection, revocation, and offline verification by the published keys. Neither library knows
the broker. Each check prints one line; the first that fails ends the script.

    pip install --require-hashes -r requirements.txt
    REQUESTS_CA_BUNDLE=ca.pem python oauth.py SETTINGS

SETTINGS is a JSON file:

    issuer           the broker's issuer identifier, https
    id_token         {url, request_token}: what a running CI job is given to ask for ID tokens
    audience         a granted audience that the resource server below answers for
    resource_server  {name, secret}: its credentials
    secret           {path, value}: a secret that the job may read
    svid_audience    a service that the job may prove its identity to
"""

import json
import os
import ssl
import sys
import traceback
from pathlib import Path
from typing import Any, Callable

import jwt
import requests
from requests_oauth2client import DPoPKey, DPoPToken, OAuth2Client, PublicApp
from requests_oauth2client.exceptions import EndpointError

PEER = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
ISSUER = PEER["issuer"]
METADATA = f"{ISSUER}/.well-known/oauth-authorization-server"
SVID_URL = f"{ISSUER}/api/v1/svid/jwt"
SECRET_URL = f"{ISSUER}/api/v1/secret/{PEER['secret']['path']}"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"
TIMEOUT = 10


def check(what: str) -> Callable[[Callable[[], Any]], Any]:
    """Runs the decorated check at once; its name then stands for what it returned."""

    def run(body: Callable[[], Any]) -> Any:
        try:
            value = body()
        except Exception:
            print(f"not ok  {what}", flush=True)
            traceback.print_exc(chain=False)
            sys.exit(1)
        print(f"ok      {what}", flush=True)
        return value

    return run


def same(actual: object, expected: object, what: str) -> None:
    if actual != expected:
        raise AssertionError(f"{what}: expected {expected!r}, got {actual!r}")


def refused(attempt: Callable[[], Any], error: str, code: str) -> None:
    try:
        attempt()
    except EndpointError as refusal:
        same(refusal.error, error, "error")
        same(refusal.response.status_code, 400, "status")
        same(refusal.response.json().get("code"), code, "code")
        return
    raise AssertionError("it was granted")


def id_token(audience: str) -> str:
    response = requests.get(
        PEER["id_token"]["url"],
        params={"audience": audience},
        headers={"Authorization": f"Bearer {PEER['id_token']['request_token']}"},
        timeout=TIMEOUT,
    )
    response.raise_for_status()
    return response.json()["value"]


def with_key_of(token: DPoPToken, dpop_key: DPoPKey) -> DPoPToken:
    """The same token and handle in the hands of another key."""
    return DPoPToken(
        access_token=token.access_token,
        refresh_token=token.refresh_token,
        _dpop_key=dpop_key,
    )


@check("the metadata is found and names this issuer")
def job() -> OAuth2Client:
    # The broker knows its callers by their evidence: the client id says nothing to it.
    return OAuth2Client.from_discovery_endpoint(METADATA, issuer=ISSUER, auth=PublicApp("ci-job"))


@check("a resource server finds the same metadata")
def server() -> OAuth2Client:
    return OAuth2Client.from_discovery_endpoint(
        METADATA,
        issuer=ISSUER,
        auth=(PEER["resource_server"]["name"], PEER["resource_server"]["secret"]),
    )


KEY = DPoPKey.generate()
BOUND = f"{ISSUER}/jkt/{KEY.dpop_jkt}"


def exchange(subject_token: str, key: DPoPKey | None, **parameters: str) -> Any:
    return job.token_exchange(
        subject_token=subject_token,
        subject_token_type=ID_TOKEN,
        dpop=key is not None,
        dpop_key=key,
        **parameters,
    )


@check("an ID token for this key is exchanged for a bound token")
def session() -> DPoPToken:
    token = exchange(id_token(BOUND), KEY)
    same(type(token), DPoPToken, "the kind of token")
    if not token.refresh_token:
        raise AssertionError("there is no handle")
    return token


@check("an ID token for this key is worth nothing without the key")
def _() -> None:
    stolen = id_token(BOUND)
    refused(lambda: exchange(stolen, None), "invalid_dpop_proof", "proof_required")


@check("nor with another key")
def _() -> None:
    stolen = id_token(BOUND)
    refused(lambda: exchange(stolen, DPoPKey.generate()), "invalid_request", "key_mismatch")


@check("the secret is read with the token and its proof")
def _() -> None:
    response = requests.get(SECRET_URL, auth=session, timeout=TIMEOUT)
    same(response.status_code, 200, "status")
    same(response.json()["value"], PEER["secret"]["value"], "value")


@check("PyJWT verifies a JWT-SVID by OIDC discovery, and by no other key")
def _() -> None:
    audience = PEER["svid_audience"]
    response = requests.post(SVID_URL, json={"audience": audience}, auth=session, timeout=TIMEOUT)
    same(response.status_code, 200, "status")
    svid = response.json()["svid"]
    issuer = f"{ISSUER}/svid"
    found = requests.get(f"{issuer}/.well-known/openid-configuration", timeout=TIMEOUT).json()
    same(found["issuer"], issuer, "issuer")
    trust = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    keys = jwt.PyJWKClient(found["jwks_uri"], ssl_context=trust, timeout=TIMEOUT)
    claims = jwt.decode(
        svid,
        keys.get_signing_key_from_jwt(svid),
        algorithms=found["id_token_signing_alg_values_supported"],
        issuer=issuer,
        audience=audience,
        options={"require": ["exp", "iat", "jti", "sub"]},
    )
    same(claims["sub"], response.json()["spiffe_id"], "sub")
    others = jwt.PyJWKClient(job.jwks_uri, ssl_context=trust, timeout=TIMEOUT)
    try:
        others.get_signing_key_from_jwt(svid)
    except jwt.PyJWKClientError:
        return
    raise AssertionError("a key of access tokens answers for it")


@check("the bound token is no bearer token")
def _() -> None:
    headers = {"Authorization": f"Bearer {session.access_token}"}
    same(requests.get(SECRET_URL, headers=headers, timeout=TIMEOUT).status_code, 401, "status")


@check("the session renews, for another audience")
def token() -> DPoPToken:
    renewed = job.refresh_token(session, audience=PEER["audience"])
    same(type(renewed), DPoPToken, "the kind of token")
    return renewed


@check("the handle is worth nothing with another key")
def _() -> None:
    thief = with_key_of(session, DPoPKey.generate())
    refused(lambda: job.refresh_token(thief), "invalid_grant", "key_mismatch")


@check("introspection tells the resource server that it stands, and whose it is")
def _() -> None:
    answer = server.introspect_token(token)
    same(answer["active"], True, "active")
    same(answer["cnf"]["jkt"], KEY.dpop_jkt, "cnf.jkt")


@check("PyJWT verifies it by the published keys")
def _() -> None:
    trust = ssl.create_default_context(cafile=os.environ["REQUESTS_CA_BUNDLE"])
    keys = jwt.PyJWKClient(job.jwks_uri, ssl_context=trust, timeout=TIMEOUT)
    key = keys.get_signing_key_from_jwt(token.access_token)
    claims = jwt.decode(
        token.access_token,
        key,
        algorithms=["ES256"],
        issuer=ISSUER,
        audience=PEER["audience"],
        options={"require": ["exp", "iat", "jti", "sub", "client_id"]},
    )
    same(claims["cnf"], {"jkt": KEY.dpop_jkt}, "cnf")


@check("a revoked token is dead at the next introspection")
def _() -> None:
    job.revoke_access_token(token)
    same(server.introspect_token(token)["active"], False, "active")


@check("a revoked handle renews no more")
def _() -> None:
    job.revoke_refresh_token(session)
    refused(lambda: job.refresh_token(session), "invalid_grant", "session_ended")
