// The inputs, each read into what it means before anything is asked.

import { isUrl } from './broker.mjs'
import { Wrong, input, yes } from './runner.mjs'
import { parse } from './secrets.mjs'

export function read () {
  const issuer = input('issuer')
  if (!isUrl(issuer)) throw new Wrong('the input issuer is an https URL, spelled as the broker spells it')
  const secrets = [['secrets', 'file'], ['secrets-env', 'env'], ['secrets-output', 'output']]
    .flatMap(([name, to]) => lines(name).map(line => parse(line, name, to)))
  const token = input('token') || 'none'
  if (!['none', 'file', 'env', 'output'].includes(token)) {
    throw new Wrong('the input token is none, file, env or output')
  }
  const [bearer, keyFile] = [yes('bearer'), yes('key-file')]
  if (bearer && keyFile) throw new Wrong('with bearer there is no key, and so no key-file')
  const wait = Number(input('wait') || '60')
  if (!Number.isFinite(wait) || wait < 0 || wait > 3600) throw new Wrong('the input wait is a number of seconds, at most 3600')
  once(secrets, token, keyFile)
  return {
    issuer,
    profile: input('profile'),
    audiences: lines('audience'),
    scope: input('scope').split(/\s+/).filter(Boolean).join(' '),
    secrets,
    token,
    keyFile,
    bearer,
    evidenceAudience: input('evidence-audience') || issuer,
    wait,
    revoke: yes('revoke')
  }
}

const lines = name => input(name).split(/[\r\n]+/).map(line => line.trim()).filter(Boolean)

/// No variable and no output is set twice.
function once (secrets, token, keyFile) {
  const variables = ['WRIT_ISSUER', 'WRIT_TOKEN', 'WRIT_TOKEN_FILE', 'WRIT_TOKEN_TYPE', 'WRIT_KEY_FILE']
  const outputs = ['task', 'expires-at', 'token-type', 'token-file', 'token', 'key-file', 'code', 'field', 'denial-id']
  for (const { name, to } of secrets) {
    const [taken, mine] = to === 'output' ? [outputs, name] : [variables, to === 'file' ? `${name}_FILE` : name]
    // Outputs are found without regard to case.
    if (taken.some(other => other.toLowerCase() === mine.toLowerCase())) throw new Wrong(`${mine} would be set twice`)
    taken.push(mine)
  }
}
