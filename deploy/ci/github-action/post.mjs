// The end of the job: what this step holds is revoked, and its files go. The task stays, and with it what other jobs of
// the run and other steps of this job hold.

import { Broker, Unknown, patiently } from './lib/broker.mjs'
import { removeAll } from './lib/files.mjs'
import * as runner from './lib/runner.mjs'

/// A job that is being cancelled is not given long to end.
const PARTING = 10_000

removeAll(runner.stated('place'))
const noted = runner.stated('held')
if (noted) {
  const { issuer, held } = JSON.parse(noted)
  const broker = new Broker(issuer, null)
  const until = Date.now() + PARTING
  for (const token of held) {
    try {
      await patiently(until, () => broker.revoke(token, until))
    } catch (error) {
      // It ends within its minutes, and a job that did its work is not failed for it.
      const why = error instanceof Unknown ? error.message : 'the broker refused it'
      runner.warn(`what was issued could not be revoked and runs out by itself: ${why}`)
    }
  }
}
