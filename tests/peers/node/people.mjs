// A real OpenID Provider for people, `oidc-provider` as it is: prints its issuer, then answers each line of
// its input by doing what a person would do in a browser, over HTTP and with its cookies.
//
//   enter CODE PERSON   opens the device page, enters the code, confirms it, logs in and consents
//   deny CODE PERSON    opens the device page, enters the code, and says no
//   visit URL PERSON    opens the page, logs in and consents, and goes where it is sent back to

import { createServer } from 'node:http';
import { createInterface } from 'node:readline';

import { exportJWK, generateKeyPair } from 'jose';
import Provider from 'oidc-provider';

// Its output is the answers' alone.
console.info = console.error;

const GROUPS = { olga: ['g-operators'], vera: ['g-viewers'], nemo: ['g-others'], ada: [] };

const client = process.argv[2];
const server = createServer((request, response) => handler(request, response));
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;

const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const provider = new Provider(issuer, {
  jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'people-1', alg: 'RS256', use: 'sig' }] },
  clients: [
    {
      client_id: client,
      application_type: 'native',
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      // RFC 8252 §7.3: the port is whatever the client gets.
      redirect_uris: ['http://127.0.0.1/callback'],
      token_endpoint_auth_method: 'none',
    },
  ],
  cookies: { keys: ['practice'] },
  conformIdTokenClaims: false,
  claims: { openid: ['sub'], groups: ['groups'] },
  features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true } },
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_, accountId) => ({
    accountId,
    claims: () => ({ sub: accountId, groups: GROUPS[accountId] }),
  }),
});
const own = provider.callback();

function handler(request, response) {
  return request.url.startsWith('/interaction/') ? consent(request, response) : own(request, response);
}

// Whoever the browser says that it is.
async function consent(request, response) {
  const { prompt, params, session } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const accountId = request.headers['x-person'];
    await provider.interactionFinished(request, response, { login: { accountId } });
    return;
  }
  const grant = new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
}

// A browser with an empty jar, in one person's hands.
class Browser {
  cookies = new Map();

  constructor(person) {
    this.person = person;
  }

  async ask(url, form) {
    const cookie = [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const answer = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form && new URLSearchParams(form),
      redirect: 'manual',
      headers: { cookie, 'x-person': this.person },
    });
    for (const set of answer.headers.getSetCookie()) {
      const [pair] = set.split(';');
      const at = pair.indexOf('=');
      this.cookies.set(pair.slice(0, at), pair.slice(at + 1));
    }
    return answer;
  }

  // Follows every redirect; gives the last answer.
  async go(url, form) {
    let answer = await this.ask(url, form);
    while (answer.headers.has('location')) {
      url = new URL(answer.headers.get('location'), url).href;
      answer = await this.ask(url);
    }
    return { status: answer.status, text: await answer.text() };
  }

  async device(code, decision) {
    const xsrf = (page) => page.text.match(/name="xsrf" value="([^"]+)"/)?.[1];
    const start = await this.go(`${issuer}/device`);
    const entered = await this.go(`${issuer}/device`, { xsrf: xsrf(start), user_code: code });
    return this.go(`${issuer}/device`, { xsrf: xsrf(entered), user_code: code, ...decision });
  }
}

const acts = {
  enter: (what, browser) => browser.device(what, { confirm: 'yes' }),
  deny: (what, browser) => browser.device(what, { abort: 'yes' }),
  visit: (what, browser) => browser.go(what),
};

console.log(issuer);
for await (const line of createInterface({ input: process.stdin })) {
  const [act, what, person] = line.split(' ');
  const { status, text } = await acts[act](what, new Browser(person));
  if (status !== 200) console.error(text);
  console.log(status);
}
server.close();
