// One way out: no redirects, a deadline, and no answer larger than a secret can be.

import { Unknown } from './broker.mjs'

const LONGEST = 30_000
const LARGEST = 4 * 1024 * 1024

/// Sends a request. An answer of any status is one; everything else is `Unknown`, which may be asked again.
export async function ask (whom, url, options, until = Infinity) {
  const patience = Math.max(1, Math.min(LONGEST, until - Date.now()))
  try {
    const response = await fetch(url, { ...options, redirect: 'error', signal: AbortSignal.timeout(patience) })
    const chunks = []
    let size = 0
    for await (const chunk of response.body ?? []) {
      size += chunk.length
      if (size > LARGEST) throw new Error('the answer is too large')
      chunks.push(chunk)
    }
    const { ok, status, headers } = response
    return { ok, status, headers, bytes: Buffer.concat(chunks) }
  } catch (error) {
    const why = error.cause?.code ?? error.cause?.message ?? error.message
    throw new Unknown(`${whom} cannot be asked: ${why}`)
  }
}

/// The JSON object of an answer, or nothing.
export function body (answer) {
  try {
    const document = JSON.parse(answer.bytes.toString('utf8'))
    return document !== null && typeof document === 'object' ? document : undefined
  } catch {
    return undefined
  }
}
