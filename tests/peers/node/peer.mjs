// What the scripts here share: the settings of one run, and checks that each print a line.
//
// The settings are a JSON file named by the first argument:
//
//   issuer           the broker's issuer identifier, https
//   id_token         { url, request_token }: what a running CI job is given to ask for ID tokens
//   audience         a granted audience that the resource server below answers for
//   resource_server  { name, secret }: its credentials
//   secret           { path, value }: a secret that the job may read
//   hook             { url, secret }: where webhooks of the CI system go
//
// The broker's certificate is trusted through NODE_EXTRA_CA_CERTS.

import { readFileSync } from "node:fs";

export function settings() {
  const path = process.argv[2];
  if (!path) throw new Error("the first argument is a file of settings");
  return JSON.parse(readFileSync(path, "utf8"));
}

// Runs one check and prints its line. The first that fails ends the script.
export async function check(what, run) {
  try {
    const value = await run();
    console.log(`ok      ${what}`);
    return value;
  } catch (error) {
    console.log(`not ok  ${what}`);
    console.error(error);
    process.exit(1);
  }
}

export function same(actual, expected, what) {
  if (actual !== expected) {
    throw new Error(`${what}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`);
  }
}
