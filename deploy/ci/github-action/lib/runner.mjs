// The runner's side: what it gives a step (inputs, state) and what it reads of it (workflow commands and command files).
// https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands

import { randomUUID } from 'node:crypto'
import { appendFileSync } from 'node:fs'

/// Something about the workflow: said as it is, without a stack.
export class Wrong extends Error {}

/// The broker said no.
export class Denied extends Error {
  constructor ({ code, detail, field, denialId }) {
    const where = field ? `${code}, ${field}` : code
    const id = denialId ? `; its id: ${denialId}, which \`writ explain\` takes` : ''
    super(`${detail ?? 'the broker said no'} (${where})${id}`)
    Object.assign(this, { code, field, denialId })
  }
}

/// Runs the step, and fails it with one line that says why.
export async function step (work) {
  try {
    await work()
  } catch (error) {
    if (error instanceof Denied) {
      output('code', error.code)
      if (error.field) output('field', error.field)
      if (error.denialId) output('denial-id', error.denialId)
    }
    const title = error instanceof Denied ? 'Writ: denied' : 'Writ'
    console.log(`::error title=${property(title)}::${data(plain(error.message))}`)
    process.exitCode = 1
  }
}

export function warn (text) {
  console.log(`::warning title=Writ::${data(plain(text))}`)
}

/// An input, with blanks around it gone; an empty one is none.
export function input (name) {
  return (process.env[`INPUT_${name.toUpperCase()}`] ?? '').trim()
}

export function yes (name) {
  const value = input(name)
  if (value === 'true' || value === 'false' || value === '') return value === 'true'
  throw new Wrong(`the input ${name} is true or false`)
}

export const variable = (name, value) => assign('GITHUB_ENV', name, value)
export const output = (name, value) => assign('GITHUB_OUTPUT', name, value)
/// What the end of the job is told; the last word counts.
export const state = (name, value) => assign('GITHUB_STATE', name, value)
export const stated = name => process.env[`STATE_${name}`] || undefined

/// A value behind a delimiter that nobody can have foreseen, so that no value ends itself early.
function assign (file, name, value) {
  const path = process.env[file]
  if (!path) throw new Wrong(`${file} is not set: this runs as a step of GitHub Actions only`)
  const end = `writ-${randomUUID()}`
  appendFileSync(path, `${name}<<${end}\n${value}\n${end}\n`)
}

/// Text of somebody else's, in which nothing is a command or moves a terminal.
export const plain = text => text.replace(/[\p{Cc}\p{Cf}]+/gu, ' ')

/// The escapes of a command's message, and of its properties.
export const data = text => text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A')
const property = text => data(text).replace(/:/g, '%3A').replace(/,/g, '%2C')
