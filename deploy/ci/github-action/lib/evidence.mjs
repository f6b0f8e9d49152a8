// The job's ID token, which the runner's service signs for whatever audience it is asked for.

import { ask, body } from './http.mjs'
import { mask } from './mask.mjs'
import { Wrong } from './runner.mjs'
import { Unknown } from './broker.mjs'

/// A new ID token. With a key it is for whoever proves that key, so that one which leaks is worth nothing.
export async function idToken (base, key) {
  const url = process.env.ACTIONS_ID_TOKEN_REQUEST_URL
  const token = process.env.ACTIONS_ID_TOKEN_REQUEST_TOKEN
  if (!url || !token) {
    throw new Wrong('this job gets no ID tokens; give it `permissions: id-token: write`' +
      ' (a pull request from a fork gets none whatever it asks for)')
  }
  const audience = key ? `${base}/jkt/${key.thumbprint}` : base
  const place = new URL(url)
  place.searchParams.set('audience', audience)
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
  const answer = await ask('the CI system', place, { headers })
  if ([408, 429].includes(answer.status) || answer.status >= 500) {
    throw new Unknown(`the CI system gave no ID token (status ${answer.status})`)
  }
  if (!answer.ok) throw new Wrong(`the CI system gives this job no ID token (status ${answer.status})`)
  const value = body(answer)?.value
  if (typeof value !== 'string') throw new Unknown('the CI system answered without an ID token')
  mask(value)
  return value
}
