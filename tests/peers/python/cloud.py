"""botocore and google-auth, unmodified, under `writ run --cloud`: they find their token by the variables that were set, and
show it to a toy STS, which believes it only by the keys that `writ oidc export` wrote.

Takes the directory of the export. Everything else is in the environment, as it is for any program.
"""

import base64
import json
import os
import sys
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import botocore.exceptions
import botocore.session
import google.auth.identity_pool
import google.auth.transport.requests
import jwt

PROVIDER = "projects/7/locations/global/workloadIdentityPools/ci/providers/writ"
ROLE = "arn:aws:iam::123456789012:role/deploy"
EXPORT = Path(sys.argv[1])


def verified(token, audience):
    """The claims of a token that the exported documents vouch for."""
    discovery = json.loads((EXPORT / ".well-known/openid-configuration").read_text())
    assert discovery["jwks_uri"] == discovery["issuer"] + "/jwks"
    keys = jwt.PyJWKSet.from_dict(json.loads((EXPORT / "jwks").read_text()))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    algorithms = discovery["id_token_signing_alg_values_supported"]
    return jwt.decode(token, key, algorithms, audience=audience, issuer=discovery["issuer"])


class Sts(BaseHTTPRequestHandler):
    seen = []

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        form = {name: values[0] for name, values in form.items()}
        aws = form.get("Action") == "AssumeRoleWithWebIdentity"
        try:
            claims = self.aws(form) if aws else self.google(form)
        except jwt.PyJWTError as refused:
            return self.answer(400, {"error": "invalid_grant", "error_description": str(refused)}, refused if aws else None)
        Sts.seen.append(claims)
        if aws:
            return self.answer(200, None, None, form["RoleSessionName"])
        self.answer(200, {
            "access_token": "toy-" + claims["jti"],
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer",
            "expires_in": 300,
        })

    def aws(self, form):
        assert form["RoleArn"] == ROLE, form
        claims = verified(form["WebIdentityToken"], "sts.amazonaws.com")
        tags = claims["https://aws.amazon.com/tags"]
        assert set(tags["transitive_tag_keys"]) == set(tags["principal_tags"])
        assert all(len(values) == 1 for values in tags["principal_tags"].values()), tags
        return claims

    def google(self, form):
        assert form["audience"] == "//iam.googleapis.com/" + PROVIDER, form
        assert form["subject_token_type"] == "urn:ietf:params:oauth:token-type:jwt"
        return verified(form["subject_token"], "https://iam.googleapis.com/" + PROVIDER)

    def answer(self, status, document, refused=None, session=None):
        if document is not None and refused is None:
            kind, body = "application/json", json.dumps(document)
        elif refused is not None:
            kind = "text/xml"
            body = f"<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>{refused}</Message></Error></ErrorResponse>"
        else:
            # So little time is left that botocore asks again at each use.
            ends = (datetime.now(timezone.utc) + timedelta(minutes=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
            kind = "text/xml"
            body = f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
<AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA{session}</AccessKeyId>
<SecretAccessKey>toy</SecretAccessKey><SessionToken>toy-{len(Sts.seen)}</SessionToken>
<Expiration>{ends}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


def until(so):
    ends = time.monotonic() + 60
    while not so():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.02)


def tampered(token):
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    claims["sub"] += "-other"
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return ".".join([head, payload, signature])


def aws(url):
    os.environ.update(AWS_ENDPOINT_URL_STS=url, AWS_DEFAULT_REGION="eu-central-1", AWS_EC2_METADATA_DISABLED="true")
    credentials = botocore.session.get_session().get_credentials()
    assert credentials.method == "assume-role-with-web-identity", credentials.method
    first = credentials.get_frozen_credentials()
    claims = Sts.seen[-1]
    tags = claims["https://aws.amazon.com/tags"]["principal_tags"]
    assert tags["writ-task"][0].startswith("github/"), tags
    assert tags["writ-task-id"][0] in json.dumps(claims[claims["iss"] + "/task"]), tags
    assert first.access_key == "ASIA" + os.environ["AWS_ROLE_SESSION_NAME"], first.access_key
    print("ok      botocore takes the role, with the task in the session's tags")

    file = Path(os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert file.stat().st_mode & 0o777 == 0o600
    before = file.read_text()
    until(lambda: file.read_text() != before)
    # Another process later on, as the SDK's own refresh would.
    again = botocore.session.get_session().get_credentials().get_frozen_credentials()
    assert again.token != first.token and Sts.seen[-1]["jti"] != claims["jti"]
    print("ok      a renewed token is in the same file, and is taken")

    forged = file.with_name("forged")
    forged.write_text(tampered(file.read_text()))
    os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(forged)
    try:
        botocore.session.get_session().get_credentials().get_frozen_credentials()
        raise AssertionError("the toy STS believes everything")
    except botocore.exceptions.ClientError as refused:
        assert "InvalidIdentityToken" in str(refused), refused
    forged.unlink()
    print("ok      a token that was changed is not")


def gcp(url):
    file = os.environ["GOOGLE_APPLICATION_CREDENTIALS"]
    assert os.environ["CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE"] == file
    document = json.loads(Path(file).read_text())
    assert document["token_url"] == "https://sts.googleapis.com/v1/token"
    # The one thing that is the test's: where the STS is.
    own = Path(file).with_name("toy.json")
    own.write_text(json.dumps({**document, "token_url": url}))
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    credentials = google.auth.identity_pool.Credentials.from_file(str(own), scopes=scopes)
    credentials.refresh(google.auth.transport.requests.Request())
    assert credentials.token == "toy-" + Sts.seen[-1]["jti"]
    own.unlink()
    print("ok      google-auth exchanges it as an external account")


def azure():
    header = jwt.get_unverified_header(Path(os.environ["AZURE_FEDERATED_TOKEN_FILE"]).read_text())
    assert header["alg"] == "RS256", header
    claims = verified(Path(os.environ["AZURE_FEDERATED_TOKEN_FILE"]).read_text(), "api://AzureADTokenExchange")
    assert claims["sub"].startswith("spiffe://") and "https://aws.amazon.com/tags" not in claims
    assert os.environ["AZURE_TENANT_ID"] and os.environ["AZURE_CLIENT_ID"]
    assert os.environ["AZURE_AUTHORITY_HOST"] == "https://login.microsoftonline.com/"
    print("ok      what Azure is shown is signed RS256")


server = ThreadingHTTPServer(("127.0.0.1", 0), Sts)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_address[1]}"
gcp(address)
azure()
aws(address)
