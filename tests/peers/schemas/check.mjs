// Starts the practice world given as first argument, plays runs through its control API, and
// validates every webhook it delivers against the published schema of that event. The practice
// world stands for GitHub in every other test, so a payload that GitHub would not send makes them
// all worthless: the first violation ends this with a failure.
//
//   npm ci && node check.mjs PATH-TO-writ-practice

import { spawn } from "node:child_process";
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import Ajv from "ajv";
import addFormats from "ajv-formats";

const SECRET = "schema-check";
const EXPECTED = [
  "workflow_run.requested",
  "workflow_run.in_progress",
  "workflow_run.completed",
  "workflow_job.queued",
  "workflow_job.in_progress",
  "workflow_job.completed",
];
const DEADLINE_MS = 60_000;

function validators() {
  const path = new URL(import.meta.resolve("@octokit/webhooks-schemas"));
  const schema = JSON.parse(readFileSync(path, "utf8"));
  // The schemas carry hints for a TypeScript generator, which strict mode does not know.
  const ajv = new Ajv({ strict: true, strictTypes: false, strictRequired: false, allErrors: true });
  for (const keyword of ["tsAdditionalProperties", "tsType"]) ajv.addKeyword(keyword);
  addFormats(ajv);
  ajv.addSchema(schema, "webhooks");
  return (event) => {
    const name = event.replace(".", "$");
    const validate = ajv.getSchema(`webhooks#/definitions/${name}`);
    if (!validate) throw new Error(`no schema is published for ${event}`);
    return (payload) => (validate(payload) ? [] : validate.errors);
  };
}

function checkSignature(headers, body) {
  const expected = `sha256=${createHmac("sha256", SECRET).update(body).digest("hex")}`;
  const sent = String(headers["x-hub-signature-256"] ?? "");
  if (sent.length !== expected.length || !timingSafeEqual(Buffer.from(sent), Buffer.from(expected))) {
    throw new Error("a delivery is not signed with the hook's secret");
  }
  for (const name of ["x-github-delivery", "x-github-hook-id"]) {
    if (!headers[name]) throw new Error(`a delivery has no ${name}`);
  }
}

function checkDelivery(validatorOf, seen, headers, body) {
  checkSignature(headers, body);
  const payload = JSON.parse(body.toString("utf8"));
  const event = `${headers["x-github-event"]}.${payload.action}`;
  const [violation] = validatorOf(event)(payload);
  if (violation) {
    const { instancePath, message, params } = violation;
    throw new Error(`${event}: ${instancePath || "/"} ${message} ${JSON.stringify(params)}`);
  }
  seen.set(event, (seen.get(event) ?? 0) + 1);
}

async function receiver(onDelivery) {
  const server = createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      onDelivery(request.headers, Buffer.concat(chunks));
      response.writeHead(202).end();
    });
  });
  await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
  return { url: `http://127.0.0.1:${server.address().port}/hook`, close: () => server.close() };
}

async function startWorld(binary, hookUrl) {
  const child = spawn(binary, ["--listen", "127.0.0.1:0", "--hook-url", hookUrl], {
    env: { WRIT_PRACTICE_HOOK_SECRET: SECRET },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).once("line", resolve);
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the practice world ended with ${code}`)));
  });
  return { base: line.split(" ").at(-1), stop: () => child.kill("SIGTERM") };
}

function controlOf(base) {
  return async (path, body) => {
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(body) };
    const answer = await fetch(`${base}/control${path}`, request);
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.json();
  };
}

async function play(control) {
  await control("/repos", { owner: "acme", name: "shop", properties: { tier: "gold" } });
  await control("/repos", { owner: "acme", name: "site", visibility: "public", subject: "legacy" });
  const rules = { wait_timer: 5, branch_policy: "custom" };
  await control("/environments", { repo: "acme/shop", name: "production", rules });

  const jobs = [{ name: "build" }, { name: "deploy", environment: "production" }];
  const run = await control("/runs", { repo: "acme/shop", jobs });
  await control(`/jobs/${run.jobs[0].job_id}/complete`, { conclusion: "success" });
  await control(`/runs/${run.run_id}/complete`, { conclusion: "failure" });
  await control(`/runs/${run.run_id}/rerun`, {});
  await control(`/runs/${run.run_id}/cancel`, {});

  const tagged = { repo: "acme/site", event: "release", ref: "refs/tags/v1.2.0" };
  const release = await control("/runs", {
    ...tagged,
    jobs: [{ name: "publish", runner_environment: "self-hosted" }],
  });
  await control(`/runs/${release.run_id}/complete`, { conclusion: "skipped" });
  await control("/hooks/settle", {});
}

async function main(binary) {
  if (!binary) throw new Error("usage: node check.mjs PATH-TO-writ-practice");
  const validatorOf = validators();
  const seen = new Map();
  let violation;
  const hook = await receiver((headers, body) => {
    try {
      if (!violation) checkDelivery(validatorOf, seen, headers, body);
    } catch (error) {
      violation = error;
    }
  });
  try {
    const world = await startWorld(binary, hook.url);
    await play(controlOf(world.base)).finally(world.stop);
  } finally {
    hook.close();
  }
  if (violation) throw violation;
  const missing = EXPECTED.filter((event) => !seen.has(event));
  if (missing.length > 0) throw new Error(`never delivered: ${missing.join(", ")}`);
  for (const event of EXPECTED) console.log(`${event}: ${seen.get(event)} valid`);
}

const watchdog = setTimeout(() => {
  console.error("schema check: no end in sight");
  process.exit(1);
}, DEADLINE_MS);

try {
  await main(process.argv[2]);
} catch (error) {
  console.error(`schema check: ${error.message}`);
  process.exitCode = 1;
} finally {
  clearTimeout(watchdog);
}
