// A private directory under the runner's temporary one: only this user can look into it, and it goes when the job ends.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'

import { state } from './runner.mjs'

const PREFIX = 'writ-'

export class Place {
  /// `mkdtemp` makes it with mode 0700, under a name that nobody can have taken.
  static make () {
    const place = new Place(mkdtempSync(join(process.env.RUNNER_TEMP || tmpdir(), PREFIX)))
    state('place', place.path)
    return place
  }

  constructor (path) {
    this.path = path
  }

  write (name, bytes) {
    const path = join(this.path, name)
    writeFileSync(path, bytes, { mode: 0o600, flag: 'wx' })
    return path
  }
}

export function removeAll (path) {
  if (path && basename(path).startsWith(PREFIX)) rmSync(path, { recursive: true, force: true })
}
