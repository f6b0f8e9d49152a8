// The step: an ID token for a key of this step's own, exchanged at the broker, and what came of it handed to the job.

import { Broker, patiently } from './lib/broker.mjs'
import { idToken } from './lib/evidence.mjs'
import { Place } from './lib/files.mjs'
import { read } from './lib/inputs.mjs'
import { makeKey } from './lib/key.mjs'
import * as runner from './lib/runner.mjs'
import { mask } from './lib/mask.mjs'
import { pick } from './lib/secrets.mjs'

await runner.step(async () => {
  const asked = read()
  const key = asked.bearer ? null : makeKey()
  const broker = new Broker(asked.issuer, key)
  const until = Date.now() + asked.wait * 1000
  const held = []
  const token = await patiently(until, () => take(broker, key, asked, asked.audiences, held))
  // A token that is for another service reads no secrets here.
  const reads = asked.audiences.length === 0 || asked.audiences.includes(asked.issuer)
  const own = reads || asked.secrets.length === 0 ? token
    : await patiently(until, () => take(broker, key, asked, [asked.issuer], held))
  const secrets = []
  for (const wanted of asked.secrets) {
    const whole = await patiently(until, () => broker.secret(wanted.path, own.value))
    secrets.push({ ...wanted, value: pick(whole, wanted) })
  }
  hand(asked, key, token, secrets)
  const renewal = 'It is not renewed: a command that takes longer runs under `writ run`.'
  console.log(`writ: ${token.taskName}: a token until ${token.expiresAt}. ${renewal}`)
})

/// A token, masked, and noted for the end of the job before anything else is done with it.
async function take (broker, key, asked, audiences, held) {
  const evidence = await idToken(asked.evidenceAudience, key)
  const token = await broker.exchange(evidence, { ...asked, audiences })
  mask(token.value)
  if (token.handle) mask(token.handle)
  // The handle ends the session and all that came with it; without one, each token is ended by itself.
  const ends = token.handle ?? token.value
  if (!held.includes(ends)) held.push(ends)
  if (asked.revoke) runner.state('held', JSON.stringify({ issuer: asked.issuer, held }))
  return token
}

/// Hands over everything, once nothing can be refused any more.
function hand (asked, key, token, secrets) {
  const values = secrets.map(secret => secret.value)
  for (const value of values) mask(value)
  const place = Place.make()
  for (const { name, to, value } of secrets) {
    if (to === 'file') runner.variable(`${name}_FILE`, place.write(`secret-${name}`, value))
    if (to === 'env') runner.variable(name, text(name, value))
    if (to === 'output') runner.output(name, text(name, value))
  }
  if (asked.token === 'file') {
    const path = place.write('token', token.value)
    runner.variable('WRIT_TOKEN_FILE', path)
    runner.output('token-file', path)
  }
  if (asked.token === 'env') runner.variable('WRIT_TOKEN', token.value)
  if (asked.token === 'output') runner.output('token', token.value)
  if (asked.keyFile) {
    const pem = key.pem()
    mask(pem)
    const path = place.write('key.pem', pem)
    runner.variable('WRIT_KEY_FILE', path)
    runner.output('key-file', path)
  }
  if (asked.token !== 'none') runner.variable('WRIT_TOKEN_TYPE', token.type)
  runner.variable('WRIT_ISSUER', asked.issuer)
  runner.output('token-type', token.type)
  runner.output('expires-at', token.expiresAt)
  runner.output('task', token.taskName)
}

/// A value for a variable or an output, which are text.
function text (name, value) {
  if (typeof value === 'string') return value
  const text = value.toString('utf8')
  if (text.includes('\0') || !Buffer.from(text).equals(value)) {
    throw new runner.Wrong(`${name}: the secret is not text; have it in a file, with the input \`secrets\``)
  }
  return text
}
