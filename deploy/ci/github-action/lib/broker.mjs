// The broker as any client may ask it: exchange (RFC 8693), a secret, revocation (RFC 7009). Known to be refused and not
// known are kept apart, as the broker keeps them apart: only the broker's own word is a refusal.

import { ask, body } from './http.mjs'
import { Denied, plain } from './runner.mjs'

/// Nobody said no: it may be asked again.
export class Unknown extends Error {
  constructor (message, retryAfter) {
    super(message)
    this.retryAfter = retryAfter
  }
}

export class Broker {
  #issuer
  #key

  constructor (issuer, key) {
    this.#issuer = issuer
    this.#key = key
  }

  async exchange (evidence, { profile, audiences, scope }) {
    const form = new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: evidence,
      subject_token_type: 'urn:ietf:params:oauth:token-type:id_token'
    })
    if (profile) form.set('profile', profile)
    if (scope) form.set('scope', scope)
    for (const audience of audiences) form.append('audience', audience)
    const asked = Date.now()
    const answer = await this.#ask('POST', '/oauth2/token', { body: form })
    if (typeof answer.access_token !== 'string' || !(answer.expires_in > 0)) throw misread()
    return {
      value: answer.access_token,
      type: plain(String(answer.token_type)),
      handle: answer.refresh_token,
      taskName: plain(String(answer.task_name ?? '')),
      expiresAt: new Date(asked + answer.expires_in * 1000).toISOString()
    }
  }

  async secret (path, token) {
    const answer = await this.#ask('GET', `/api/v1/secret/${path}`, { token })
    if (typeof answer.value !== 'string') throw misread()
    return Buffer.from(answer.value, answer.encoding === 'base64' ? 'base64' : 'utf8')
  }

  /// Ends a session by its handle, or a token alone. Neither ends the task.
  async revoke (held, until) {
    await this.#ask('POST', '/oauth2/revoke', { body: new URLSearchParams({ token: held }), until })
  }

  async #ask (method, endpoint, { body: form, token, until }) {
    const url = this.#issuer + endpoint
    const headers = { accept: 'application/json' }
    if (token) headers.authorization = `${this.#key ? 'DPoP' : 'Bearer'} ${token}`
    if (this.#key) headers.dpop = this.#key.proof(method, url, token)
    const answer = await ask('the broker', url, { method, headers, body: form }, until)
    const document = body(answer)
    if (answer.ok) return document ?? {}
    throw refused(answer, document)
  }
}

/// Asks again while nobody answers, less and less often, until the time is over.
export async function patiently (until, work) {
  for (let wait = 1000; ; wait = Math.min(wait * 2, 30_000)) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof Unknown)) throw error
      const pause = Math.max(error.retryAfter ?? 0, wait * (0.5 + Math.random() / 2))
      if (Date.now() + pause > until) throw error
      console.log(`writ: ${plain(error.message)}; asking again`)
      await new Promise(resolve => setTimeout(resolve, pause))
    }
  }
}

/// The address of a broker: https, or http on this machine, in the one spelling that is compared.
export function isUrl (text) {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)
  const bare = !url.username && !url.password && !url.search && !url.hash
  return bare && (url.protocol === 'https:' || (url.protocol === 'http:' && loopback)) &&
    url.href.replace(/\/$/, '') === text
}

/// What an answer means that is no success. An error page of something in between refuses nothing.
function refused (answer, document) {
  const code = document?.code ?? document?.error
  const seconds = Number(answer.headers.get('retry-after'))
  const retryAfter = seconds > 0 ? Math.min(seconds, 120) * 1000 : undefined
  if (typeof code !== 'string') {
    return new Unknown(`the broker's address answered with status ${answer.status}`, retryAfter)
  }
  const told = value => (typeof value === 'string' ? plain(value) : undefined)
  const detail = told(document.error_description ?? document.detail)
  if ([408, 425, 429].includes(answer.status) || answer.status >= 500) {
    return new Unknown(`${detail ?? 'the broker cannot answer'} (${plain(code)})`, retryAfter)
  }
  return new Denied({ code: plain(code), detail, field: told(document.field), denialId: told(document.denial_id) })
}

const misread = () => new Unknown("the broker's address answered with something that is not the broker's")
