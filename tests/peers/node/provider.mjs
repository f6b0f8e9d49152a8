// A real OpenID Provider, `oidc-provider` as it is: prints its issuer, then answers each line of its
// input. `token` gives an ID token by the authorization code flow with PKCE; `rotate` puts a new signing
// key in place of the old one, which stays published; `drop` takes every key but the signing one away.

import { createHash, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

// Its output is the answers' alone.
console.info = console.error;

const audience = process.argv[2];
const server = createServer((request, response) => handler(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const callback = `${issuer}/callback`;

let keys = [];
let handler;

async function rotate() {
  const { privateKey } = await generateKeyPair('RS256', { extractable: true });
  const kid = `key-${keys.length + 1}`;
  keys = [{ ...(await exportJWK(privateKey)), kid, alg: 'RS256', use: 'sig' }, ...keys];
  serve();
}

function serve() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    clients: [
      {
        client_id: audience,
        application_type: 'native',
        redirect_uris: [callback],
        token_endpoint_auth_method: 'none',
      },
    ],
    cookies: { keys: ['practice'] },
    conformIdTokenClaims: false,
    claims: { openid: ['sub', 'ci.example/project', 'build', 'branch'] },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, accountId) => ({
      accountId,
      claims: () => ({
        sub: accountId,
        'ci.example/project': 'p-812',
        build: { number: builds, step: 'deploy' },
        branch: 'refs/heads/main',
      }),
    }),
  });
  const own = provider.callback();
  handler = (request, response) =>
    request.url.startsWith('/interaction/') ? consent(provider, request, response) : own(request, response);
}

// Whoever asks is let in at once: what is tried here are tokens, not people.
async function consent(provider, request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    await provider.interactionFinished(request, response, { login: { accountId: 'builder' } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid');
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

let builds = 0;

async function token() {
  builds += 1;
  const verifier = randomBytes(32).toString('base64url');
  const challenge = createHash('sha256').update(verifier).digest('base64url');
  const cookies = new Map();
  let at = `${issuer}/auth?${new URLSearchParams({
    client_id: audience,
    response_type: 'code',
    scope: 'openid',
    redirect_uri: callback,
    code_challenge: challenge,
    code_challenge_method: 'S256',
  })}`;
  while (!at.startsWith(callback)) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(at, { redirect: 'manual', headers: { cookie } });
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(';');
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    if (!answer.headers.has('location')) throw new Error(`${answer.status} ${await answer.text()}`);
    at = new URL(answer.headers.get('location'), issuer).href;
  }
  const code = new URL(at).searchParams.get('code');
  const answer = await fetch(`${issuer}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: audience,
      code,
      redirect_uri: callback,
      code_verifier: verifier,
    }),
  });
  const body = await answer.json();
  if (!body.id_token) throw new Error(JSON.stringify(body));
  return body.id_token;
}

await rotate();
console.log(issuer);
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'token') {
    console.log(await token());
  } else if (line === 'rotate') {
    await rotate();
    console.log('rotated');
  } else if (line === 'drop') {
    keys = keys.slice(0, 1);
    serve();
    console.log('dropped');
  }
}
server.close();
