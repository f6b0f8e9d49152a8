// Masking: the runner replaces what it was told of by ***, line by line, in everything that the job prints from then on.

import { data } from './runner.mjs'

/// Masks every line of a value, and where the value is JSON, every line of every text in it: a program that reads a
/// member prints it without its quotes.
export function mask (value) {
  const text = Buffer.isBuffer(value) ? value.toString('utf8') : value
  for (const part of [text, ...members(text)]) {
    for (const line of part.split(/\r\n|\r|\n/)) {
      const inner = line.trim()
      if (inner === '' || isFrame(inner)) continue
      console.log(`::add-mask::${data(inner)}`)
    }
  }
}

/// Brackets and commas of a document say nothing, and without them no log could be read.
const isFrame = line => /^[{}[\],]+$/.test(line)

/// The texts and numbers in a JSON document.
function members (text) {
  const found = []
  const visit = value => {
    if (typeof value === 'string') found.push(value)
    else if (typeof value === 'number' && Math.abs(value) > 999) found.push(String(value))
    else if (value !== null && typeof value === 'object') Object.values(value).forEach(visit)
  }
  try {
    const document = JSON.parse(text)
    if (document !== null && typeof document === 'object') visit(document)
  } catch {
    // Not JSON: its lines are all there is.
  }
  return found
}
