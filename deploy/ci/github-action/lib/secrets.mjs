// `NAME=path#field`, as `writ run --secret` takes it.

import { Wrong } from './runner.mjs'

/// The runner keeps these for itself, and a shell or a dynamic linker reads those.
const RESERVED = /^(GITHUB_|RUNNER_|ACTIONS_|INPUT_|STATE_|LD_|NODE_OPTIONS$|PATH$|BASH_ENV$|ENV$|IFS$)/i

export function parse (line, from, to) {
  const match = /^([A-Za-z_][A-Za-z0-9_]*)=([A-Za-z0-9._/-]+)(?:#(.+))?$/.exec(line)
  // The line is not repeated: whoever mistakes the input for the secret itself has it there.
  if (!match) throw new Wrong(`the input ${from} takes lines of NAME=path or NAME=path#field`)
  const [, name, path, field] = match
  const segments = path.split('/')
  if (segments.length > 16 || segments.some(segment => /^\.*$/.test(segment))) {
    throw new Wrong(`${name}: the path is not one of a secret`)
  }
  if (to !== 'file' && RESERVED.test(name)) throw new Wrong(`${name} is not a name for a secret`)
  return { name, path, field, to }
}

/// The part of the secret that was asked for: a text as it is, any other JSON as JSON. Nothing of the value is in a
/// complaint.
export function pick (value, { name, path, field }) {
  if (field === undefined) return value
  const unusable = why => new Wrong(`${name}: the secret ${path} cannot be used: ${why}`)
  let document
  try {
    document = JSON.parse(value.toString('utf8'))
  } catch {
    document = null
  }
  if (document === null || typeof document !== 'object' || Array.isArray(document)) {
    throw unusable('its value is not a JSON object, so it has no fields')
  }
  const member = Object.hasOwn(document, field) ? document[field] : null
  if (member === null) throw unusable('its value has no such field')
  return Buffer.from(typeof member === 'string' ? member : JSON.stringify(member))
}
