// Recorded GitHub payloads, signed by octokit's own methods, into the broker's webhook receiver.
// Whatever GitHub sends and signs is taken; what it did not sign is not.
//
//   npm ci && NODE_EXTRA_CA_CERTS=ca.pem node webhooks.mjs SETTINGS

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { sign, verify } from "@octokit/webhooks-methods";
import { check, same, settings } from "./peer.mjs";

const { hook } = settings();
const recorded = createRequire(import.meta.url)("@octokit/webhooks-examples");

async function deliver(event, body, signature) {
  const headers = {
    "content-type": "application/json",
    "user-agent": "GitHub-Hookshot/recorded",
    "x-github-event": event,
    "x-github-delivery": randomUUID(),
    "x-github-hook-id": "480001",
  };
  if (signature) headers["x-hub-signature-256"] = signature;
  const response = await fetch(hook.url, { method: "POST", headers, body });
  await response.arrayBuffer();
  return response.status;
}

for (const { name, examples } of recorded) {
  await check(`${examples.length} recorded ${name}`, async () => {
    for (const example of examples) {
      const body = JSON.stringify(example);
      const signature = await sign(hook.secret, body);
      same(await deliver(name, body, signature), 202, "status");
    }
  });
}

const run = recorded.find(({ name }) => name === "workflow_run").examples[0];
const body = JSON.stringify(run);

await check("a payload signed with another secret is not taken", async () => {
  const signature = await sign(`${hook.secret}x`, body);
  same(await verify(hook.secret, body, signature), false, "octokit's own verdict");
  same(await deliver("workflow_run", body, signature), 401, "status");
});

await check("nor one whose body was changed after it was signed", async () => {
  const signature = await sign(hook.secret, body);
  const changed = JSON.stringify({ ...run, action: "completed " });
  same(await deliver("workflow_run", changed, signature), 401, "status");
});

await check("nor one that is not signed", async () => {
  same(await deliver("workflow_run", body), 401, "status");
});
