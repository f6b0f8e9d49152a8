// The session key: made here, gone with the step unless it is asked for, and proven with each request (RFC 9449).

import { createHash, generateKeyPairSync, randomUUID, sign } from 'node:crypto'

const base64url = bytes => Buffer.from(bytes).toString('base64url')
const sha256 = text => createHash('sha256').update(text).digest('base64url')

export function makeKey () {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' })
  const jwk = { crv, kty, x, y }
  return {
    /// RFC 7638: the required members in lexical order.
    thumbprint: sha256(JSON.stringify(jwk)),
    pem: () => privateKey.export({ type: 'pkcs8', format: 'pem' }),
    proof (method, url, token) {
      const claims = { jti: randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000) }
      if (token) claims.ath = sha256(token)
      const head = { typ: 'dpop+jwt', alg: 'ES256', jwk }
      const signed = [head, claims].map(part => base64url(JSON.stringify(part))).join('.')
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${signed}.${base64url(signature)}`
    }
  }
}
