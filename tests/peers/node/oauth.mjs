// oauth4webapi and jose against a running broker, as a CI job would use them and as a resource
// server would: token exchange with DPoP, renewal, introspection, revocation, and both offline
// verifications. Neither library knows the broker.
//
//   npm ci && NODE_EXTRA_CA_CERTS=ca.pem node oauth.mjs SETTINGS

import * as jose from "jose";
import * as oauth from "oauth4webapi";
import { check, same, settings } from "./peer.mjs";

const EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token";

const peer = settings();
const issuer = new URL(peer.issuer);
// The broker knows its callers by their evidence: the client id says nothing to it.
const client = { client_id: "ci-job" };
const server = { client_id: peer.resource_server.name };
const serverAuth = oauth.ClientSecretBasic(peer.resource_server.secret);

async function newKey() {
  const proofs = oauth.DPoP(client, await oauth.generateKeyPair("ES256"));
  return { proofs, thumbprint: await proofs.calculateThumbprint() };
}

async function idToken(audience) {
  const url = new URL(peer.id_token.url);
  url.searchParams.set("audience", audience);
  const authorization = `Bearer ${peer.id_token.request_token}`;
  const response = await fetch(url, { headers: { authorization } });
  same(response.status, 200, "the CI system's answer");
  return (await response.json()).value;
}

async function exchange(as, subject_token, key, parameters = {}) {
  const response = await oauth.genericTokenEndpointRequest(
    as,
    client,
    oauth.None(),
    EXCHANGE,
    { subject_token, subject_token_type: ID_TOKEN, ...parameters },
    key && { DPoP: key.proofs },
  );
  return oauth.processGenericTokenEndpointResponse(as, client, response);
}

async function renew(as, handle, key, parameters = {}) {
  const response = await oauth.refreshTokenGrantRequest(as, client, oauth.None(), handle, {
    DPoP: key?.proofs,
    additionalParameters: parameters,
  });
  return oauth.processRefreshTokenResponse(as, client, response);
}

async function introspect(as, token) {
  const response = await oauth.introspectionRequest(as, server, serverAuth, token);
  return oauth.processIntrospectionResponse(as, server, response);
}

async function revoke(as, token) {
  const response = await oauth.revocationRequest(as, client, oauth.None(), token);
  return oauth.processRevocationResponse(response);
}

// The request that a client with this token and key would send to a service.
async function requestTo(url, token, key) {
  let sent;
  await oauth.protectedResourceRequest(token, "GET", new URL(url), undefined, undefined, {
    DPoP: key.proofs,
    [oauth.customFetch]: async (target, init) => {
      sent = new Request(target, { method: init.method, headers: init.headers });
      return new Response();
    },
  });
  return sent;
}

async function refused(run, status, error, code) {
  let answer;
  try {
    await run();
  } catch (thrown) {
    if (!(thrown instanceof oauth.ResponseBodyError)) throw thrown;
    answer = thrown;
  }
  if (!answer) throw new Error("it was granted");
  same(answer.status, status, "status");
  same(answer.error, error, "error");
  same(answer.cause.code, code, "code");
}

async function throws(run) {
  const failed = await run().then(
    () => false,
    () => true,
  );
  if (!failed) throw new Error("it was accepted");
}

const as = await check("the metadata is found and names this issuer", async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2" });
  return oauth.processDiscoveryResponse(issuer, response);
});

const key = await newKey();
const bound = `${peer.issuer}/jkt/${key.thumbprint}`;

const session = await check("an ID token for this key is exchanged for a bound token", async () => {
  const answer = await exchange(as, await idToken(bound), key);
  same(answer.token_type, "dpop", "token_type");
  same(answer.issued_token_type, ACCESS_TOKEN, "issued_token_type");
  if (!answer.refresh_token || !(answer.expires_in > 0)) throw new Error("no handle or no life");
  return answer;
});

await check("an ID token for this key is worth nothing without the key", async () => {
  const stolen = await idToken(bound);
  await refused(() => exchange(as, stolen), 400, "invalid_dpop_proof", "proof_required");
});

await check("nor with another key", async () => {
  const [stolen, other] = [await idToken(bound), await newKey()];
  await refused(() => exchange(as, stolen, other), 400, "invalid_request", "key_mismatch");
});

await check("an ID token for somebody else is refused", async () => {
  const foreign = await idToken("https://elsewhere.example");
  await refused(() => exchange(as, foreign, key), 400, "invalid_request", "evidence_invalid");
});

await check("an audience that is not granted is invalid_target", async () => {
  const token = await idToken(bound);
  const elsewhere = { audience: "https://elsewhere.example" };
  await refused(() => exchange(as, token, key, elsewhere), 400, "invalid_target", "target_refused");
});

await check("the secret is read with the token and its proof", async () => {
  const url = new URL(`${peer.issuer}/api/v1/secret/${peer.secret.path}`);
  const options = { DPoP: key.proofs };
  const token = session.access_token;
  const response = await oauth.protectedResourceRequest(token, "GET", url, undefined, undefined, options);
  same(response.status, 200, "status");
  same((await response.json()).value, peer.secret.value, "value");
});

await check("the bound token is no bearer token", async () => {
  const url = `${peer.issuer}/api/v1/secret/${peer.secret.path}`;
  const authorization = `Bearer ${session.access_token}`;
  const response = await fetch(url, { headers: { authorization } });
  same(response.status, 401, "status");
});

const token = await check("the session renews, for another audience", async () => {
  const answer = await renew(as, session.refresh_token, key, { audience: peer.audience });
  same(answer.token_type, "dpop", "token_type");
  return answer.access_token;
});

await check("the handle is worth nothing without the key, nor with another", async () => {
  const handle = session.refresh_token;
  await refused(() => renew(as, handle), 400, "invalid_dpop_proof", "proof_required");
  const other = await newKey();
  await refused(() => renew(as, handle, other), 400, "invalid_grant", "key_mismatch");
});

await check("introspection tells the resource server that it stands, and whose it is", async () => {
  const answer = await introspect(as, token);
  same(answer.active, true, "active");
  same(answer.cnf?.jkt, key.thumbprint, "cnf.jkt");
  same(answer.aud.includes(peer.audience), true, "aud");
});

await check("and nothing about a token that is not for it", async () => {
  same((await introspect(as, session.access_token)).active, false, "active");
  same((await introspect(as, "no-token-at-all")).active, false, "active");
});

await check("validateJwtAccessToken takes it, with its proof, offline", async () => {
  const request = await requestTo(`${peer.audience}/orders`, token, key);
  const options = { requireDPoP: true };
  const claims = await oauth.validateJwtAccessToken(as, request, peer.audience, options);
  same(claims.cnf.jkt, key.thumbprint, "cnf.jkt");
});

await check("and not for another audience, nor with another key's proof", async () => {
  const request = await requestTo(`${peer.audience}/orders`, token, key);
  await throws(() => oauth.validateJwtAccessToken(as, request, "https://elsewhere.example"));
  const thief = await requestTo(`${peer.audience}/orders`, token, await newKey());
  await throws(() => oauth.validateJwtAccessToken(as, thief, peer.audience));
});

await check("jose verifies it by the published keys", async () => {
  const keys = jose.createRemoteJWKSet(new URL(as.jwks_uri));
  const expected = { issuer: peer.issuer, audience: peer.audience, typ: "at+jwt" };
  const { payload } = await jose.jwtVerify(token, keys, expected);
  same(payload.cnf.jkt, key.thumbprint, "cnf.jkt");
});

await check("a revoked token is dead at the next introspection", async () => {
  await revoke(as, token);
  same((await introspect(as, token)).active, false, "active");
});

await check("a revoked handle renews no more", async () => {
  await revoke(as, session.refresh_token);
  await refused(() => renew(as, session.refresh_token, key), 400, "invalid_grant", "session_ended");
});

await check("revoking what is no token of the broker is no error", () => revoke(as, "no-token-at-all"));
